"""Facts: what is known about one run, as conditions see it."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from auto_loop.domain.config import Json
from auto_loop.domain.series import Series, Source
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.rules.nodes import STAR, UNKNOWN, Segment, Unknown, Value

T = TypeVar("T")
NOT_KNOWN: Final = "unknown"  # how a recorded reading says so: no reading is a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Metrics and series under their canonical names, the config's tree (None when it is not known), the log's end.

    `item` is the key or index that the `*` of a fold stands for at the moment, None outside of folds. With `recorded`,
    readings are answered from there alone (see `recorded.readings_of`), and what is not in it is unknown.
    """

    metrics: Mapping[str, MetricStats] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    config: dict[str, Json] | None = None
    log_tail: str | None = None
    canonical: Callable[[str], str] = str
    item: str | None = None
    recorded: Mapping[str, Json] | None = None

    def reading(self, name: str, about: str, number: float | None = None) -> Value:
        """The answer of a function of the run: of a metric, of the log. Finite or unknown; true or false for two."""
        if self.recorded is not None:
            found = self.recorded.get(self.key(name, about, number), NOT_KNOWN)
            return UNKNOWN if found == NOT_KNOWN else found
        value = self._answer(name, about, number)
        return UNKNOWN if isinstance(value, float) and not math.isfinite(value) else value

    def key(self, name: str, about: str, number: float | None = None) -> str:
        """What a reading is called wherever it is kept: `value("train/loss", 300)`, under the metric's own name."""
        subject = about if name == "log_matches" else self.canonical(about)
        second = "" if number is None else f", {number:.17g}"
        return f"{name}({json.dumps(subject, ensure_ascii=False)}{second})"

    def _answer(self, name: str, about: str, number: float | None) -> Value:
        match name:
            case "exists":
                return self.has_metric(about)
            case "log_matches":
                return self.log_matches(about)
            case "value":
                return self.value(about, number)
            case "slope":
                return self.slope(about, None if number is None else max(int(number), 2))
            case _ if number is not None:
                return self.recent(name, about, max(int(number), 2))
            case _:
                return self.statistic(name, about)

    def steps_read(self, name: str, metric: str, number: float | None = None) -> list[int]:
        """The step that a reading was taken at, or the first and last one that it spans; empty where not known."""
        if self.recorded is not None:
            kept = self.recorded.get(steps_key(self.key(name, metric, number)))
            return [step for step in kept if isinstance(step, int)] if isinstance(kept, list) else []
        if name == "best":
            found = self.statistic("best_step", metric)
            return [int(found)] if isinstance(found, float) else []
        finite = self._finite(metric)
        if finite is None or not len(finite[0]):
            return []
        steps = [int(step) for step in finite[0]]
        match name:
            case "first":
                return steps[:1]
            case "value" if number is not None:
                return [step for step in steps if step <= number][-1:]
            case "last" | "value":
                return steps[-1:]
            case "delta" | "pct" | "slope":
                return [steps[0 if number is None else -min(max(int(number), 2), len(steps))], steps[-1]]
            case _:
                return []

    def statistic(self, name: str, metric: str) -> Value:
        """One statistic of a metric; final-only data has a last value and counts, and nothing else."""
        stats = self.metrics.get(self.canonical(metric))
        if stats is None:
            return UNKNOWN
        if stats.source is Source.FINAL_ONLY and name not in ("last", "n", "nan_count"):
            return UNKNOWN
        found: float | int | None = getattr(stats, name)
        return UNKNOWN if found is None else float(found)

    def slope(self, metric: str, points: int | None) -> Value:
        """Least-squares slope per step over the last `points` finite points (all of them if None)."""
        finite = self._finite(metric)
        if finite is None:
            return UNKNOWN
        steps, values = finite
        if points is not None:
            steps, values = steps[-points:], values[-points:]
        if len(steps) < 2:
            return UNKNOWN
        with np.errstate(over="ignore", invalid="ignore"):  # of values near a float's end: then it is unknown
            centred = steps - steps.mean()
            spread = float(centred @ centred)
            return float(centred @ (values - values.mean())) / spread if spread > 0 else UNKNOWN

    def recent(self, name: str, metric: str, points: int) -> Value:
        """`delta` or `pct` over the last `points` finite points."""
        finite = self._finite(metric)
        if finite is None or len(finite[1]) < points:
            return UNKNOWN
        first, last = float(finite[1][-points]), float(finite[1][-1])
        if name == "delta":
            return last - first
        return 100 * (last - first) / abs(first) if first else UNKNOWN

    def value(self, metric: str, step: float | None) -> Value:
        """The newest finite reading, or with `step` the newest one at or before it."""
        if step is None:
            return self.statistic("last", metric)
        finite = self._finite(metric)
        if finite is None:
            return UNKNOWN
        steps, values = finite
        upto = int(np.searchsorted(steps, step, side="right"))
        return float(values[upto - 1]) if upto else UNKNOWN

    def _finite(self, metric: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        found = self.series.get(self.canonical(metric))
        if found is None or found.source is Source.FINAL_ONLY:
            return None
        keep = np.isfinite(found.values)
        return found.steps[keep].astype(np.float64), found.values[keep]

    def has_metric(self, metric: str) -> bool:
        """Whether the run has any finite reading of it."""
        stats = self.metrics.get(self.canonical(metric))
        return stats is not None and stats.last is not None

    def at(self, segments: tuple[Segment, ...]) -> Value:
        """The config's value at a path; unknown where there is none."""
        if self.config is None:
            return UNKNOWN
        node: Value = self.config
        for segment in segments:
            node = _step(node, self.item if segment is STAR else str(segment))
            if node is UNKNOWN:
                break
        return node

    def items(self, segments: tuple[Segment, ...]) -> tuple[str, ...] | Unknown:
        """The indexes or keys of the list or mapping at a path."""
        match self.at(segments):
            case list() as items:
                return tuple(str(index) for index in range(len(items)))
            case dict() as mapping:
                return tuple(mapping)
            case _:
                return UNKNOWN

    def log_matches(self, pattern: str) -> Value:
        """Whether the end of the job's log holds the regular expression; unknown without a log."""
        return UNKNOWN if self.log_tail is None else re.search(pattern, self.log_tail, re.MULTILINE) is not None


def steps_key(reading: str) -> str:
    """Where the steps of a recorded reading are kept, beside its value."""
    return f"steps of {reading}"


def facts_of(summary: Summary, canonical: Callable[[str], str] = str) -> Facts:
    """The facts in a summary. A metric logged under its canonical name wins over one under an alias."""
    return Facts(
        metrics=_renamed(summary.metrics, canonical),
        series=_renamed(summary.series, canonical),
        config=None if summary.config is None else summary.config.data(),
        log_tail=summary.log_tail or None,
        canonical=canonical,
    )


def _renamed(named: Mapping[str, T], canonical: Callable[[str], str]) -> dict[str, T]:
    renamed = {canonical(name): item for name, item in named.items()}
    return renamed | {name: item for name, item in named.items() if canonical(name) == name}


def _step(node: Value, key: str | None) -> Value:
    match node:
        case dict() if key is not None:
            return node.get(key, UNKNOWN)
        case list() if key is not None and key.isdecimal() and int(key) < len(node):
            return node[int(key)]
        case _:
            return UNKNOWN
