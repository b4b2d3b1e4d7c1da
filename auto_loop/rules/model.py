"""A pack as data: what a family of workloads strives for, watches, allows, and does next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from auto_loop.domain.config import Json
from auto_loop.domain.failure import Failure
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.paths import Path
from auto_loop.domain.stats import Direction, usual_direction
from auto_loop.rules.condition import Expression
from auto_loop.rules.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the study is about: a metric, or an expression. A smaller difference than `min_difference` is none."""

    metric: str = ""
    expression: Expression | None = None
    direction: Direction = Direction.LOWER
    min_difference: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a pack says of one metric: other names for it, which way is better, or the band that it belongs in.

    Below `dead` it takes no part at all; a report says so.
    """

    name: str
    aliases: tuple[str, ...] = ()
    direction: Direction | None = None
    band: tuple[float, float] | None = None
    dead: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A change's value that is computed from the run; `predict` names the metric that it aims at."""

    expression: Expression
    predict: str = ""


REMEDY_TIMES = 3  # a batch halved three times is an eighth: whatever still fails then, fails for another reason

Changes: TypeAlias = Mapping[str, Json | Computed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When the condition holds of a run, propose the changes. `group` is the purpose; larger `priority` first."""

    name: str
    when: Expression
    changes: Changes
    reason: Template
    priority: int = 0
    group: str = ""


class Then(StrEnum):
    """What follows when a live rule has held: end the job, end it and start its changed successor, or only say so."""

    STOP = "stop"
    FORK = "stop+fork"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """When the condition has held of a running job for `readings` readings, from step `after` on: `then` do this.

    A fork starts fresh unless it is `warm`: from the stopped job's last checkpoint.
    """

    name: str
    when: Expression
    reason: Template
    after: int = 0
    readings: int = 1
    then: Then = Then.STOP
    changes: Changes = field(default_factory=dict)
    warm: bool = False


class Bound(StrEnum):
    """What a law's value is to the metric, where it is not the expected value itself."""

    LOWER = "lower"
    UPPER = "upper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What a metric of a changed config is expected to be, from the parent's run.

    In `value`, `next.PATH` is a value of the changed config; any other path is one of the parent's. A law speaks of a
    config that differs from its parent's in and below the places `only` alone (None: any config), where `when` holds
    (None: always), and stays silent where its value is unknown. `bound` lets several laws of one metric speak: the
    tightest counts. `name` tells apart those that speak of the same case.
    """

    metric: str
    value: Expression
    name: str = ""
    only: tuple[Path, ...] | None = None
    when: Expression | None = None
    bound: Bound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A cause that a run shows, in words: `says` when `when` holds."""

    name: str
    when: Expression
    says: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to change before a job that failed with this class of failure is tried again, in a child of its own.

    `also` are edits that go with it where the config has their places. In one line of descent it is applied at most
    `times` times. Values are literals: a failed run has no readings to compute from.
    """

    failure: Failure
    changes: Mapping[str, Json]
    also: Mapping[str, Json] = field(default_factory=dict)
    times: int = REMEDY_TIMES
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One workload family. Made by `pack.parse`, whole or not at all."""

    name: str
    objective: Objective = field(default_factory=Objective)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    key_metrics: tuple[str, ...] = ()
    guardrails: Guardrails = field(default_factory=Guardrails)
    rules: tuple[Rule, ...] = ()
    stops: tuple[Stop, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    laws: tuple[Law, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def main_metric(self) -> str:
        """The metric that the objective names, else the first key metric; empty when there is neither."""
        return self.objective.metric or next(iter(self.key_metrics), "")

    @property
    def goal(self) -> str:
        """What runs are held against each other by: the objective's expression as it is written, else its metric."""
        return self.objective.expression.text if self.objective.expression is not None else self.main_metric

    def canonical(self, name: str) -> str:
        """The name that the pack knows a metric by; the name itself when it knows none."""
        return self.aliases.get(name, name)

    def direction(self, name: str) -> Direction:
        """Which way the metric is better: as the pack says, else as its name usually means."""
        canonical = self.canonical(name)
        if canonical == self.objective.metric:
            return self.objective.direction
        known = self.metrics.get(canonical)
        if known is not None and (known.direction is not None or known.band is not None):
            return known.direction or Direction.NONE
        return usual_direction(canonical)

    def band(self, name: str) -> tuple[float, float] | None:
        """The band that the metric belongs in, if it has one."""
        known = self.metrics.get(self.canonical(name))
        return None if known is None else known.band
