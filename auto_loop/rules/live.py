"""Live rules over a run's readings: when a condition is looked at, when it counts, and at which step the rule fires.

A condition is looked at when a new reading of one of its metrics has come, from the rule's step `after` on. True
counts one more reading in a row, false begins again at 0, unknown does neither; the rule fires when the count reaches
its `readings`. All readings of one step count once: the last look at a step replaces the earlier ones, so that a row
whose metrics arrive one by one is judged as if it had come whole.

`LiveState` and `step` are the judge of a run that goes on; `play_back` is the same judge over a run that has ended,
its points given out again in the order of their steps. Neither sees more of the log than there was then: a log's end
is that of a whole run, so `log_matches` is unknown while one is played back.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter

import numpy as np

from auto_loop.domain.config import Json
from auto_loop.domain.series import Series, Source, series_of
from auto_loop.domain.stats import Direction, describe
from auto_loop.domain.summary import MetricStats, Summary, change, percent
from auto_loop.rules.condition import Expression
from auto_loop.rules.facts import Facts
from auto_loop.rules.model import Pack, Stop
from auto_loop.rules.nodes import Call, Literal, walk

_ROOM = 64  # points that a column has room for at first; doubled when they are full


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """One live rule on one run: for how many readings in a row it has held, at which step it was looked at last, and
    how many it was before that look."""

    held: int = 0
    at: int | None = None
    before: int = 0


def step(state: LiveState, stop: Stop, facts: Facts, at: int) -> tuple[LiveState, bool]:
    """The state after a look at step `at`, and whether the rule fires there. Call it when `concerns` is true of what
    has come; before step `after` nothing is looked at."""
    if at < stop.after:
        return state, False
    before = state.before if at == state.at else state.held
    truth = stop.when.evaluate(facts)
    held = before + 1 if truth is True else 0 if truth is False else before
    return LiveState(held=held, at=at, before=before), truth is True and held >= stop.readings


def watched(when: Expression, canonical: Callable[[str], str]) -> frozenset[str]:
    """The metrics whose new readings call for a look, under the pack's names; a `*` in one is any text. Empty: it
    reads none, and every reading of any metric is one."""
    asked = (
        node.args[0].value
        for node in walk(when.root)
        if isinstance(node, Call) and node.name == "exists" and isinstance(node.args[0], Literal)
    )
    return frozenset(canonical(str(name)) for name in (*when.metrics, *asked))


def concerns(names: frozenset[str], came: frozenset[str]) -> bool:
    """Whether new readings of `came` call for a look at a condition that reads `names`."""
    if not names or not names.isdisjoint(came):
        return True
    return any(fnmatchcase(one, name) for name in names if "*" in name for one in came)


class Readings:
    """A run's readings as far as they have come: points go in, facts come out, at the cost of what is new.

    Names are the pack's; with `only`, other metrics are passed over. With `most`, a metric's series holds that many of
    its newest points at least, twice as many at most: first, best and counts are still those of all. A point at an
    earlier step (a trainer that went back) takes the place of the one that stood there.
    """

    def __init__(
        self, pack: Pack, config: dict[str, Json] | None, only: frozenset[str] = frozenset(), most: int = 0
    ) -> None:
        self._pack = pack
        self._config = config
        self._only = only
        self._most = most
        self._columns: dict[str, _Column] = {}

    def add(self, name: str, at: int, value: float, source: Source = Source.METRICS) -> str:
        """Takes one point in; gives the metric's name in the pack."""
        metric = self._pack.canonical(name)
        if not self._only or metric in self._only:
            column = self._columns.get(metric)
            if column is None:
                direction = self._pack.direction(metric)
                column = self._columns[metric] = _Column(metric, direction, source, self._most)
            column.add(at, value)
        return metric

    def facts(self, names: frozenset[str] | None = None) -> Facts:
        """What is known by now, of these metrics alone if they are given: the rest costs nothing then.

        The log is not known: its end comes with the end of the run.
        """
        columns = {name: one for name, one in self._columns.items() if names is None or name in names}
        return Facts(
            metrics={name: column.stats for name, column in columns.items()},
            series={name: column.series for name, column in columns.items()},
            config=self._config,
            canonical=self._pack.canonical,
        )


class _Column:
    """One metric's points with their running statistics, which are brought up to date when they are asked for.

    The arrays grow by doubling, and are handed out as views: what stands in them is never written again.
    """

    def __init__(self, name: str, direction: Direction, source: Source, most: int) -> None:
        self._name, self._direction, self._source, self._most = name, direction, source, most
        self._dropped = False
        self._counted = 0  # the points that the statistics know of
        self._steps = np.empty(_ROOM, dtype=np.int64)
        self._values = np.empty(_ROOM, dtype=np.float64)
        self._size = 0
        self._stats = describe(self.series, direction)

    @property
    def series(self) -> Series:
        """The points so far."""
        steps, values = self._steps[: self._size], self._values[: self._size]
        return Series(name=self._name, steps=steps, values=values, source=self._source)

    @property
    def stats(self) -> MetricStats:
        """What they come down to, as `domain.stats.describe` would say."""
        for place in range(self._counted, self._size):
            self._stats = _with(self._stats, int(self._steps[place]), float(self._values[place]), self._direction)
        self._counted = self._size
        return self._stats

    def add(self, at: int, value: float) -> None:
        if self._size and at <= self._steps[self._size - 1]:
            self._put_back(at, value)
            return
        if self._size == 2 * self._most > 0:
            self._drop()
        if self._size == len(self._steps):
            self._steps = np.concatenate([self._steps, np.empty_like(self._steps)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._steps[self._size], self._values[self._size] = at, value
        self._size += 1

    def _drop(self) -> None:
        """Let go of the older half, which the statistics know; into arrays of its own, for others hold views."""
        assert self.stats is not None
        self._steps, self._values = self._steps[self._most :].copy(), self._values[self._most :].copy()
        self._size = self._counted = self._most
        self._dropped = True

    def _put_back(self, at: int, value: float) -> None:
        """A point at a step that has passed: all is counted anew, into arrays of its own (others hold views).

        Where older points were dropped, it only counts as one more.
        """
        now, before = self.series, self.stats
        steps, values = np.append(now.steps, at), np.append(now.values, value)
        whole = series_of(self._name, steps, values, self._source)
        self._steps, self._values, self._size = whole.steps, whole.values, len(whole.steps)
        self._counted = self._size
        self._stats = _with(before, at, value, self._direction) if self._dropped else describe(whole, self._direction)


def _with(stats: MetricStats, at: int, value: float, direction: Direction) -> MetricStats:
    """The statistics after one more point at a later step."""
    number = float(value)
    finite = math.isfinite(number)
    first = stats.first if stats.first is not None or not finite else number
    last = number if finite else stats.last
    n = stats.n + int(finite)
    best, best_step = stats.best, stats.best_step
    if finite and direction is not Direction.NONE:
        is_better = best is None or (number < best if direction is Direction.LOWER else number > best)
        best, best_step = (number, at) if is_better else (best, best_step)
    delta = change(first, last) if n > 1 else None
    return MetricStats(
        first=first,
        last=last,
        best=best,
        best_step=best_step,
        delta=delta,
        pct=percent(first, delta),
        n=n,
        nan_count=stats.nan_count + int(not finite),
        source=stats.source,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedBack:
    """What a live rule would have done in a run that has ended.

    `at` is the step at which it fires, None where it never does; `readings` and `reason` are those of that step, else
    of the last look; `says` is what kept it silent then, with the comparison that decided. `most` is the longest time
    it held, in readings. `looks` is 0 where the run has no reading of its metrics from `after` on.
    """

    stop: Stop
    at: int | None = None
    reason: str = ""
    readings: Mapping[str, Json] = field(default_factory=dict)
    says: str = ""
    looks: int = 0
    most: int = 0


def fires_at(stop: Stop, summary: Summary, pack: Pack) -> int | None:
    """The first step at which the rule fires when the run's series are played back; None where it never does."""
    return play_back(stop, summary, pack).at


def play_back(stop: Stop, summary: Summary, pack: Pack) -> PlayedBack:
    """The rule on the run's series, point by point in the order of their steps. It needs series: from a plain summary
    nothing can be played back."""
    names = watched(stop.when, pack.canonical)
    only = names | _quoted(stop, pack) if names else frozenset()
    only = frozenset() if any("*" in name for name in only) else only
    readings = Readings(pack, None if summary.config is None else summary.config.data(), only)
    state, looks, most = LiveState(), 0, 0
    facts = readings.facts()
    for at, points in _rows(summary, pack, only):
        came = frozenset(readings.add(name, at, value, source) for name, value, source in points)
        if at < stop.after or not concerns(names, came):
            continue
        facts = readings.facts()
        state, fired = step(state, stop, facts, at)
        looks, most = looks + 1, max(most, state.held)
        if fired:
            return _played(stop, facts, at=at, looks=looks, most=most)
    return _played(stop, facts, at=None, looks=looks, most=most)


def _quoted(stop: Stop, pack: Pack) -> frozenset[str]:
    """The metrics that the rule's reason quotes, under the pack's names."""
    parts = (part for part in stop.reason.parts if isinstance(part, Expression))
    return frozenset(name for part in parts for name in watched(part, pack.canonical))


def _played(stop: Stop, facts: Facts, *, at: int | None, looks: int, most: int) -> PlayedBack:
    shortfall = "" if at is not None else stop.when.shortfall(facts).says
    if at is None and not looks:
        shortfall = f"there is no reading of its metrics from step {stop.after} on"
    elif at is None and not shortfall:
        held = "1 reading" if most == 1 else f"{most} readings"
        shortfall = f"it held for {held} in a row at most, needs {stop.readings}"
    return PlayedBack(
        stop=stop,
        at=at,
        reason=stop.reason.fill(facts),
        readings={one.text: one.number(facts) for one in stop.when.readings},
        says=shortfall,
        looks=looks,
        most=most,
    )


def _rows(summary: Summary, pack: Pack, only: frozenset[str]) -> Iterator[tuple[int, list[tuple[str, float, Source]]]]:
    """The points of each step, steps rising. Final-only values were never seen while the run went on."""
    named = {pack.canonical(name): one for name, one in summary.series.items()}
    named |= {name: one for name, one in summary.series.items() if pack.canonical(name) == name}
    chosen = [one for name, one in named.items() if (not only or name in only) and one.source is not Source.FINAL_ONLY]
    points = [
        (at, (one.name, value, one.source))
        for one in chosen
        for at, value in zip(one.steps.tolist(), one.values.tolist(), strict=True)
    ]
    points.sort(key=itemgetter(0))
    for at, group in groupby(points, key=itemgetter(0)):
        yield at, [point for _, point in group]
