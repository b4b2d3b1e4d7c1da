"""Metrics with a band in plain words: how many jobs left them dead, how that went over the rounds, who woke them."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from auto_loop.reporting import figures
from auto_loop.reporting.job_report import JobReport, Metric
from auto_loop.reporting.lens import Band, Health, Lens
from auto_loop.reporting.markdown import code
from auto_loop.reporting.told import LoopReport, Report, RoundReport

# Most spans of rounds, values and jobs told in one line.
SPANS, VALUES, JOBS = 4, 8, 6


def banded(loop: LoopReport, lens: Lens) -> list[str]:
    """The metrics of the lens that have a band and that a job of the loop logged."""
    logged = {metric.name for job in loop.jobs for metric in job.key if metric.health}
    return [name for name in lens.shown if name in logged]


def vital(name: str, loop: LoopReport, report: Report) -> str:
    """One list item: dead and in its band by rounds, the highest last values, and the jobs that brought it to life."""
    band = report.lens.band(name) or Band()
    told = []
    if band.dead_below is not None:
        told.append(f"dead at the end (below {figures.number(band.dead_below)}) {_by_rounds(name, Health.DEAD, loop)}")
    if band.low is not None or band.high is not None:
        told.append(f"in its band ({_reach(band)}) {_by_rounds(name, Health.INSIDE, loop)}{_outside(name, loop)}")
    values = [highest(name, each) for each in loop.rounds if metrics_of(name, each.jobs)]
    return f"- **{code(name)}**: {'; '.join(told)}. Highest by round {_joined(values)}.{_woken(name, loop, report)}"


def highest(name: str, one: RoundReport) -> str:
    """The highest last value of a metric in a round."""
    values = [metric.stats.last for metric in metrics_of(name, one.jobs) if metric.stats.last is not None]
    return figures.number(max(values)) if values else figures.NONE


def highest_and_dead(name: str, one: RoundReport) -> str:
    """`0.03076 (3 of 4 dead)`: the highest last value of a round, and how many of its jobs left the metric dead."""
    found = metrics_of(name, one.jobs)
    dead = sum(metric.health is Health.DEAD for metric in found)
    return highest(name, one) + (f" ({dead} of {len(found)} dead)" if dead else "")


def metrics_of(name: str, jobs: Iterable[JobReport]) -> list[Metric]:
    """The metric `name` of each of the jobs that logged it."""
    return [metric for job in jobs for metric in job.key if metric.name == name]


def _by_rounds(name: str, health: Health, loop: LoopReport) -> str:
    """`in 3 of 4 jobs of round 1, then in none of the 8 of rounds 2–3`; neighbours of one kind are told together."""
    counts = []
    for one in loop.rounds:
        found = [metric.health for metric in metrics_of(name, one.jobs) if metric.health]
        if found:
            counts.append((one.number, found.count(health), len(found)))
    spans = [list(group) for _, group in groupby(counts, key=_kind)]
    if len(spans) > SPANS:
        spans = [spans[0], [each for span in spans[1:-1] for each in span], spans[-1]]
    return ", then ".join(_span(span) for span in spans)


def _kind(counted: tuple[int, int, int]) -> str:
    _, some, all_ = counted
    return "none" if not some else "all" if some == all_ else "some"


def _span(span: list[tuple[int, int, int]]) -> str:
    first, last = span[0][0], span[-1][0]
    some, all_ = sum(each[1] for each in span), sum(each[2] for each in span)
    rounds = f"round {first}" if first == last else f"rounds {first}–{last}"
    if all_ == 1:
        return f"{'in' if some else 'not in'} the one job of {rounds}"
    if all_ == 2 and some != 1:
        return f"in {'both jobs' if some else 'neither job'} of {rounds}"
    many = "none of the" if not some else "all" if some == all_ else f"{some} of"
    return f"in {many} {all_} jobs of {rounds}"


def _outside(name: str, loop: LoopReport) -> str:
    counts = Counter(metric.health for metric in metrics_of(name, loop.jobs))
    told = [f"{counts[health]} {health}" for health in (Health.BELOW, Health.ABOVE) if counts[health]]
    return f" ({', '.join(told)})" if told else ""


def _reach(band: Band) -> str:
    low, high = figures.number(band.low), figures.number(band.high)
    if band.high is None:
        return f"from {low}"
    return f"up to {high}" if band.low is None else f"{low} to {high}"


def _joined(values: list[str]) -> str:
    shown = values if len(values) <= VALUES else [*values[: VALUES // 2], "…", *values[-VALUES // 2 :]]
    return " → ".join(shown)


def _woken(name: str, loop: LoopReport, report: Report) -> str:
    """The jobs whose parent left the metric dead and that did not."""
    told = []
    for job in loop.jobs:
        own = next(iter(metrics_of(name, [job])), None)
        parent = report.job(job.parent) if job.parent is not None else None
        before = next(iter(metrics_of(name, [parent])), None) if parent else None
        if own and own.health and before and before.health is Health.DEAD and own.health is not Health.DEAD:
            values = f"{figures.number(before.stats.last)} → {figures.number(own.stats.last)}"
            told.append(f"job {job.id} ({values}, from job {job.parent})")
    more = f" and {len(told) - JOBS} more" if len(told) > JOBS else ""
    return f" Brought to life: {', '.join(told[:JOBS])}{more}." if told else ""
