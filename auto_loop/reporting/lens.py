"""The lens: which metrics a report shows first, which way each is better, and when one counts as dead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auto_loop.domain.paths import Path
from auto_loop.domain.stats import Direction, usual_direction
from auto_loop.domain.summary import MetricStats, Summary


class Health(StrEnum):
    """Where a metric's last value lies against its band."""

    DEAD = "dead"
    BELOW = "below its band"
    INSIDE = "in its band"
    ABOVE = "above its band"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where a metric should lie (`low` to `high`, ends included), and below which value it counts as dead."""

    dead_below: float | None = None
    low: float | None = None
    high: float | None = None

    def health(self, value: float) -> Health:
        """Where `value` lies."""
        if self.dead_below is not None and value < self.dead_below:
            return Health.DEAD
        if self.low is not None and value < self.low:
            return Health.BELOW
        if self.high is not None and value > self.high:
            return Health.ABOVE
        return Health.INSIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """What the report looks at: the pack's view of a study's metrics, as plain values and functions.

    `main_metric` ranks jobs and rounds; `min_difference` is the smallest difference in it that matters;
    `key_metrics` are shown first; `canonical` maps an alias to its one name; `bands` go by canonical name.
    `root` is the project folder, to which paths are shown relative; `secrets` are values masked wherever they occur.

    `seed` is where a config holds its seed, None where the trainer has none; `paired` says that two configs under one
    seed see the same streams. `goal` computes the objective where the pack has an expression for it, and then
    `goal_is` says which way it is better. `logs` maps metrics that are the natural logarithm of another to that one.
    """

    main_metric: str = ""
    min_difference: float = 0.0
    key_metrics: tuple[str, ...] = ()
    bands: Mapping[str, Band] = field(default_factory=dict)
    direction: Callable[[str], Direction] = usual_direction
    canonical: Callable[[str], str] = str
    root: str = ""
    secrets: tuple[str, ...] = ()
    seed: Path | None = None
    paired: bool = False
    goal: Callable[[Summary], float | None] | None = None
    goal_is: Direction = Direction.LOWER
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[str, ...]:
        """The main metric and then the key metrics, each once."""
        names = (self.main_metric, *self.key_metrics) if self.main_metric else self.key_metrics
        return tuple(dict.fromkeys(names))

    def band(self, name: str) -> Band | None:
        """The band of the metric `name` or of what it is an alias of."""
        return self.bands.get(name) or self.bands.get(self.canonical(name))

    @property
    def goal_direction(self) -> Direction:
        """Which way the objective is better."""
        return self.goal_is if self.goal is not None else self.direction(self.main_metric)

    @property
    def goal_name(self) -> str:
        """What the objective is called in a report."""
        return "objective" if self.goal is not None else self.main_metric

    @property
    def extreme(self) -> str:
        """`lowest` or `highest`: the end of the objective that is looked for."""
        return "highest" if self.goal_direction is Direction.HIGHER else "lowest"

    def further(self, value: float, other: float) -> bool:
        """Whether `value` lies further in the objective's own direction than `other`."""
        return value > other if self.goal_direction is Direction.HIGHER else value < other

    def metric(self, metrics: Mapping[str, MetricStats], name: str) -> MetricStats | None:
        """A metric of a run under its own name or any of its aliases."""
        if name in metrics:
            return metrics[name]
        mine = self.canonical(name)
        return next((stats for logged, stats in metrics.items() if self.canonical(logged) == mine), None)
