"""A metric's statistics: what a whole series comes down to in a report, a rule, a summary."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from auto_loop.domain.series import Series, Source
from auto_loop.domain.summary import MetricStats, change, percent


class Direction(StrEnum):
    """Which way a metric gets better. NONE: it has a band, or nobody said."""

    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"


_LOWER = "loss losses l1 l2 cost costs error errors err mse rmse mae nll kl perplexity ppl regret grad_norm gradnorm"
_HIGHER = "reward rewards return returns success accuracy acc score auc f1 iou precision recall psnr ssim"
LOWER_IS_BETTER = frozenset(_LOWER.split())
HIGHER_IS_BETTER = frozenset(_HIGHER.split())


def usual_direction(name: str) -> Direction:
    """The direction that a metric's name tells, by the usual words; NONE when it tells none.

    The last part of the name decides before the whole of it: `loss/accuracy` is better high, `ot_cost/action`
    better low.
    """
    for text in (re.split(r"[/.]", name)[-1], name):
        words = _words(text)
        if words & LOWER_IS_BETTER:
            return Direction.LOWER
        if words & HIGHER_IS_BETTER:
            return Direction.HIGHER
    return Direction.NONE


def _words(text: str) -> frozenset[str]:
    """The single words of a name, and each two neighbours joined by `_` (`grad_norm` is one word to us)."""
    single = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    return frozenset([*single, *(f"{a}_{b}" for a, b in pairwise(single))])


def describe(series: Series, direction: Direction) -> MetricStats:
    """The statistics of one series: over its finite values only; the others are counted, never averaged away.

    A final-only series gives `last` alone. One finite value gives no `delta` and no `pct`: nothing was seen to change.
    """
    finite = np.isfinite(series.values)
    steps, values = series.steps[finite], series.values[finite]
    nan_count = int(series.values.size - values.size)
    last = float(values[-1]) if values.size else None
    if series.source is Source.FINAL_ONLY or last is None:
        return _only_last(last, int(values.size), nan_count, series.source)
    first = float(values[0])
    best, best_step = _best(steps, values, direction)
    delta = change(first, last) if values.size > 1 else None
    return MetricStats(
        first=first,
        last=last,
        best=best,
        best_step=best_step,
        delta=delta,
        pct=percent(first, delta),
        n=int(values.size),
        nan_count=nan_count,
        source=series.source,
    )


def summarise(series: Mapping[str, Series], directions: Callable[[str], Direction]) -> dict[str, MetricStats]:
    """The statistics of all series, in order of their names."""
    return {name: describe(series[name], directions(name)) for name in sorted(series)}


def _only_last(last: float | None, n: int, nan_count: int, source: Source) -> MetricStats:
    return MetricStats(
        first=None,
        last=last,
        best=None,
        best_step=None,
        delta=None,
        pct=None,
        n=n,
        nan_count=nan_count,
        source=source,
    )


def _best(
    steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64], direction: Direction
) -> tuple[float | None, int | None]:
    """The best value and the first step that reached it."""
    if direction is Direction.NONE:
        return None, None
    at = int(np.argmin(values) if direction is Direction.LOWER else np.argmax(values))
    return float(values[at]), int(steps[at])
