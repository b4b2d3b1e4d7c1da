"""What is told of a config: why it exists, what it changed, and what came of what was expected of it. Values alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.assembly.conditions_seen import Reading as Seen
from auto_loop.domain.config import Json
from auto_loop.domain.decision import Decision, DecisionKind, EffectSeen
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job, JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """The rule that made the config: its condition with what each reading came to, its computed values, and its rank.

    `at_least` are, for a live rule, the step from which it counts and how many readings in a row it needs.
    """

    rule: str
    reason: str
    priority: int = 0
    shift: int = 0
    group: str = ""
    condition: str = ""
    readings: tuple[Seen, ...] = ()
    computed: tuple[tuple[str, str, Json], ...] = ()
    evidence: Mapping[str, Json] = field(default_factory=dict)
    at_least: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The asking of the rules: when, after what, by which pack, and what it saw of the parent.

    `runs` are the jobs whose runs were taken together; `unknown` the rules that could not be judged, with what they
    lacked.
    """

    decision: Decision
    event: str
    pack: str
    runs: tuple[Job, ...] = ()
    diagnoses: tuple[tuple[str, str], ...] = ()
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value that differs from the parent's; None in `old` or `new` with its flag False: it was not there."""

    path: str
    old: Json
    new: Json
    was_there: bool = True
    is_there: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a law expected of a metric, and the median of what the config's `runs` came to; None while none has."""

    metric: str
    predicted: float
    measured: float | None = None
    runs: int = 0

    @property
    def in_nats(self) -> bool:
        """Whether the metric is a logarithm already."""
        return "log_" in self.metric.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A config held against the base: as it was screened, or as it was confirmed."""

    kind: DecisionKind
    seen: EffectSeen
    candidate: str
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why a job's config exists. `descent` are its ancestors, oldest first, and itself; `others` what else was proposed
    of the same parent in the same decision; `lacking` says what is not known, and why."""

    job: Job
    descent: tuple[Job, ...]
    metric: str = ""
    asked: Asked | None = None
    fired: Fired | None = None
    record: ProposalRecord | None = None
    changes: tuple[Change, ...] = ()
    foreseen: tuple[Foreseen, ...] = ()
    others: tuple[ProposalRecord, ...] = ()
    held: tuple[Held, ...] = ()
    names: Mapping[JobId, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def parent(self) -> Job | None:
        """The job that its config was made of."""
        return self.descent[-2] if len(self.descent) > 1 else None
