"""A summary: a finished run in numbers, the value that rules, panel and report share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Config, Json
from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Series, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricStats:
    """One metric of a finished run in numbers.

    `best` by the metric's own direction (None where it has none or no finite value); `delta` = last − first;
    `pct` = 100·delta/|first|, None when first is 0; `n` counts finite points, `nan_count` the non-finite ones.
    first and last are the first and last finite values; delta and pct need two. A final-only metric has `last` alone.
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


def change(first: float | None, last: float | None) -> float | None:
    """The difference last − first, or None when one is not known or the difference is beyond a float."""
    return None if first is None or last is None else _number(last - first)


def percent(first: float | None, delta: float | None) -> float | None:
    """100·delta/|first|, or None when first is 0, delta is not known or the quotient is beyond a float."""
    return None if not first or delta is None else _number(100.0 * (delta / abs(first)))


def summary_to_json(summary: Summary) -> dict[str, Json]:
    """The plain mapping that `analyze_offline` writes and `decide` takes: exactly the keys of the contract."""
    return {
        "config": None if summary.config is None else summary.config.data(),
        "config_file": summary.config_file,
        "run_dir": summary.run_dir,
        "outcome": None if summary.outcome is None else summary.outcome.value,
        "wandb_url": summary.wandb_url,
        "metrics": {name: stats_to_json(stats) for name, stats in summary.metrics.items()},
    }


def stats_to_json(stats: MetricStats) -> dict[str, Json]:
    """One metric's statistics as a plain mapping."""
    return {
        "first": stats.first,
        "last": stats.last,
        "best": stats.best,
        "best_step": stats.best_step,
        "delta": stats.delta,
        "pct": stats.pct,
        "n": stats.n,
        "nan_count": stats.nan_count,
        "source": stats.source.value,
    }


def summary_from_json(mapping: Mapping[str, Json]) -> Summary:
    """The summary that a plain mapping says; what is missing or of a wrong type counts as not known.

    People write such mappings by hand, so `delta` and `pct` follow from `first` and `last` where their keys are absent.
    """
    config, metrics, outcome = mapping.get("config"), mapping.get("metrics"), mapping.get("outcome")
    return Summary(
        run_dir=_text(mapping.get("run_dir")),
        config=Config.of(config) if isinstance(config, dict) else None,
        config_file=_text(mapping.get("config_file")),
        outcome=Outcome(outcome) if outcome in list(Outcome) else None,
        wandb_url=_text(mapping.get("wandb_url")),
        metrics={
            name: stats_from_json(stats)
            for name, stats in (metrics.items() if isinstance(metrics, dict) else ())
            if isinstance(stats, dict)
        },
    )


def stats_from_json(mapping: Mapping[str, Json]) -> MetricStats:
    """One metric's statistics from a plain mapping. Without a source, a metric without `first` is final-only."""
    first, last = _number(mapping.get("first")), _number(mapping.get("last"))
    source = mapping.get("source")
    known = Source(source) if source in list(Source) else Source.FINAL_ONLY if first is None else Source.METRICS
    delta = _number(mapping["delta"]) if "delta" in mapping else change(first, last)
    pct = _number(mapping["pct"]) if "pct" in mapping else percent(first, delta)
    return MetricStats(
        first=first,
        last=last,
        best=_number(mapping.get("best")),
        best_step=_integer(mapping.get("best_step")),
        delta=delta,
        pct=pct,
        n=_integer(mapping.get("n")) or 0,
        nan_count=_integer(mapping.get("nan_count")) or 0,
        source=known,
    )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Json) -> float | None:
    """A finite number as a float; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _integer(value: Json) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None
