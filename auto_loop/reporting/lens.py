"""The lens: which metrics a report shows first, which way each is better, and when one counts as dead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auto_loop.domain.stats import Direction, usual_direction


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
    """

    main_metric: str = ""
    min_difference: float = 0.0
    key_metrics: tuple[str, ...] = ()
    bands: Mapping[str, Band] = field(default_factory=dict)
    direction: Callable[[str], Direction] = usual_direction
    canonical: Callable[[str], str] = str
    root: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The main metric and then the key metrics, each once."""
        names = (self.main_metric, *self.key_metrics) if self.main_metric else self.key_metrics
        return tuple(dict.fromkeys(names))

    def band(self, name: str) -> Band | None:
        """The band of the metric `name` or of what it is an alias of."""
        return self.bands.get(name) or self.bands.get(self.canonical(name))

    def better(self, value: float, other: float) -> bool:
        """Whether `value` lies further in the main metric's own direction than `other`."""
        return value > other if self.direction(self.main_metric) is Direction.HIGHER else value < other
