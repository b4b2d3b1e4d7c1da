"""Cells: one config under several seeds, and what its runs say together."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auto_loop.domain.config import Config
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.job import CONFIRMATION, REMEDY, REPEAT, Job, JobId, Outcome, StopCause
from auto_loop.domain.paths import Path, get
from auto_loop.domain.series import Series, series_of
from auto_loop.domain.stats import Direction, describe
from auto_loop.domain.summary import MetricStats, Summary, change, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A config's first job, which proposals name as their parent, and its repeats under other seeds."""

    lead: Job
    repeats: tuple[Job, ...] = ()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All of them, the lead first."""
        return (self.lead, *self.repeats)

    @property
    def succeeded(self) -> tuple[Job, ...]:
        """Those whose last value can be compared: a stopped or failed run has not trained as long as the others."""
        return tuple(job for job in self.jobs if job.outcome is Outcome.SUCCEEDED)


def is_repeat(job: Job) -> bool:
    """Whether a job only repeats its parent's config under another seed."""
    return job.origin.proposer in (REPEAT, CONFIRMATION)


def cells_of(jobs: Iterable[Job]) -> tuple[Cell, ...]:
    """The cells that jobs make up, in the order in which their configs were first queued.

    A lead whose place a remedied job has taken leads none; remedied repeats of a remedied lead are its repeats. A
    repeat that failed stays in its cell whatever took its place: its config did that. A repeat whose lead is not among
    the jobs, or has another config by now, is left out: it has nothing to be held against.
    """
    found = {job.id: job for job in jobs}
    replaced = {job.origin.parent for job in found.values() if job.origin.proposer == REMEDY}
    order = {job: at for at, job in enumerate(found)}
    leads: dict[tuple[JobId, int], Job] = {}
    repeats: dict[tuple[JobId, int], list[Job]] = {}
    for job in found.values():
        first, times = _before_remedies(job, found)
        above = found.get(first.origin.parent) if is_repeat(first) and first.origin.parent is not None else None
        if above is not None:
            lead, before = _before_remedies(above, found)
            repeats.setdefault((lead.id, times + before), []).append(job)
        elif not is_repeat(first) and job.id not in replaced:
            leads[first.id, times] = job
    ordered = sorted(leads, key=lambda key: order[key[0]])
    return tuple(Cell(lead=leads[key], repeats=tuple(repeats.get(key, ()))) for key in ordered)


def _before_remedies(job: Job, jobs: Mapping[JobId, Job]) -> tuple[Job, int]:
    """The job that a line of remedies began with, and how many there were."""
    times, before = 0, job
    while job.origin.proposer == REMEDY and job.origin.parent is not None:
        before = jobs.get(job.origin.parent, job)
        if before is job:
            break
        job, times = before, times + 1
    return job, times


def seed_of(config: Config, at: Path) -> int | None:
    """The config's seed, None where it has none."""
    try:
        value = get(config.data(), at)
    except MisuseError:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def by_seed(jobs: Iterable[Job], at: Path, value: Callable[[Job], float | None]) -> dict[int, float]:
    """The value of each job by its seed, the newest of a seed: the same run twice is no second piece of evidence."""
    found: dict[int, float] = {}
    for job in jobs:
        seed, number = seed_of(job.config, at), value(job)
        if seed is not None and number is not None:
            found[seed] = number
    return found


def pooled(summaries: Sequence[Summary], direction: Callable[[str], Direction]) -> Summary:
    """The runs of a cell as one: the median of each metric at each step that all of them logged.

    The median, because one run that died or diverged must not make a rule fire for the rest. Where the series are not
    at hand, it is the median of each statistic. Non-finite readings are counted over all runs. ValueError without any.
    """
    if not summaries:
        raise ValueError("no summaries to pool")
    first = summaries[0]
    if len(summaries) == 1:
        return first
    names = sorted({name for one in summaries for name in one.metrics})
    series = {name: found for name in names if (found := _median_series(name, summaries)) is not None}
    metrics: dict[str, MetricStats] = {}
    for name in names:
        stats = [one.metrics[name] for one in summaries if name in one.metrics]
        nan_count = sum(one.nan_count for one in stats)
        if name in series:
            metrics[name] = replace(describe(series[name], direction(name)), nan_count=nan_count)
        else:
            metrics[name] = _median_stats(stats, nan_count)
    return replace(first, metrics=metrics, series=series, notes=(f"the median of {len(summaries)} runs",))


def _median_series(name: str, summaries: Sequence[Summary]) -> Series | None:
    """None unless every run that knows the metric has its series, and they share steps."""
    found = [one.series[name] for one in summaries if name in one.series]
    if not found or len(found) < sum(name in one.metrics for one in summaries):
        return None
    steps = found[0].steps
    for one in found[1:]:
        steps = np.intersect1d(steps, one.steps, assume_unique=True)
    if not steps.size:
        return None
    table = np.stack([one.values[np.searchsorted(one.steps, steps)] for one in found])
    table[~np.isfinite(table)] = np.nan
    known = ~np.isnan(table).all(axis=0)
    values = np.full(steps.size, np.nan)
    values[known] = 2 * np.nanmedian(table[:, known] / 2, axis=0)  # of two it is their sum that would overflow
    return series_of(name, steps, values, found[0].source)


def _median_stats(stats: Sequence[MetricStats], nan_count: int) -> MetricStats:
    first, last, best = (_median([getattr(one, key) for one in stats]) for key in ("first", "last", "best"))
    at = _median([one.best_step for one in stats])
    delta = change(first, last) if any(one.delta is not None for one in stats) else None
    return MetricStats(
        first=first,
        last=last,
        best=best,
        best_step=None if at is None else round(at),
        delta=delta,
        pct=percent(first, delta),
        n=min(one.n for one in stats),
        nan_count=nan_count,
        source=stats[0].source,
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return 2 * float(np.median(np.array(known) / 2)) if known else None


def values_of(cell: Cell, values: Mapping[JobId, float], at: Path) -> dict[int, float]:
    """The values of a cell's runs that trained to the end, by seed; NaN for those that came to none by their own fault.

    A run that diverged must count against its config: left out, a candidate would be judged by its survivors. One that
    was stopped by a person, or lost with its machine, says nothing.
    """
    return by_seed(cell.jobs, at, lambda job: values.get(job.id) if job.outcome is Outcome.SUCCEEDED else _lost(job))


def _lost(job: Job) -> float | None:
    """NaN for a run that failed or was stopped by a live rule for what it did itself; None where nobody knows that."""
    last = job.last_attempt
    if last is None or job.outcome is None:
        return None
    ruled_out = last.stop is not None and last.stop.cause is StopCause.RULE
    return math.nan if ruled_out or (last.failure is not None and not last.failure.may_pass) else None
