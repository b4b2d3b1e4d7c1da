"""A summary: a finished run in numbers, the value that rules, panel and report share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Config
from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Series, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricStats:
    """One metric of a finished run in numbers.

    `best` by the metric's own direction (None where it has none or no finite value); `delta` = last − first;
    `pct` = 100·delta/|first|, None when first is 0; `n` counts finite points, `nan_count` the non-finite ones.
    first and last are the first and last finite values. A final-only metric has `last` alone.
    """

    first: float | None
    last: float | None
    best: float | None
    best_step: int | None
    delta: float | None
    pct: float | None
    n: int
    nan_count: int
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in numbers. `config` is None when it is not known; `series` may be empty (read from a plain mapping).

    `log_tail` is the end of the job's log, for `log_matches()`.
    """

    run_dir: str
    config: Config | None = None
    config_file: str = ""
    outcome: Outcome | None = None
    wandb_url: str = ""
    metrics: Mapping[str, MetricStats] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    log_tail: str = ""
    notes: tuple[str, ...] = ()
