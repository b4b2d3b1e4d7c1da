"""What needs a look in the morning: failures first, then runs that say less than they should."""

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Outcome
from auto_loop.reporting import figures
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.lens import Health
from auto_loop.reporting.markdown import code, cut, inline
from auto_loop.reporting.told import LoopReport, Report
from auto_loop.reporting.tries import followed, which_try

MOST = 8


def attention(loop: LoopReport, report: Report) -> list[str]:
    """A list item with one sub-item for each thing that needs a look, or the word that nothing does."""
    found = [*_failures(loop, report), *_dead(loop, report), *_unreadable(loop), *_not_finite(loop)]
    if not found:
        return ["- **Needs attention**: nothing."]
    more = [f"  - and {len(found) - MOST} more, in the rounds below"] if len(found) > MOST else []
    return ["- **Needs attention**:", *(f"  - {each}" for each in found[:MOST]), *more]


def _failures(loop: LoopReport, report: Report) -> list[str]:
    """Jobs that failed for good. Where a remedied job took the place, that one speaks for both."""
    return [_failure(job, report) for job in loop.jobs if job.failed and job.replaced_by is None]


def _failure(job: JobReport, report: Report) -> str:
    after = f" after {figures.duration(job.duration_s)}" if job.duration_s is not None else ""
    end = f" Its log ends: {code(cut(job.log_lines[-1], 160))}" if job.log_lines else ""
    where = f" ({code(job.log)})" if job.log else ""
    cause = inline(cut(job.cause.rstrip("."), 200)) or "cause not known"
    kind = f" ({job.failure})" if job.failure not in (None, Failure.LOST) else ""
    tries = f", {told}" if (told := which_try(job)) else ""
    follow = followed(job, report)
    return f"{_called(job)} {job.outcome}{kind}{after}{tries}: {cause}.{end}{where}{f'; {follow}' if follow else ''}"


def _dead(loop: LoopReport, report: Report) -> list[str]:
    """Metrics that are dead in every job of the last round that has any."""
    for one in reversed(loop.rounds):
        healths: dict[str, list[Health]] = {}
        for metric in (metric for job in one.jobs for metric in job.key):
            if metric.health:
                healths.setdefault(metric.name, []).append(metric.health)
        if healths:
            dead = [name for name in report.lens.shown if name in healths and set(healths[name]) == {Health.DEAD}]
            return [f"{code(name)} is dead in every job of round {one.number} that logged it" for name in dead]
    return []


def _unreadable(loop: LoopReport) -> list[str]:
    blank = [job for job in loop.jobs if job.outcome is Outcome.SUCCEEDED and not job.metrics]
    return [f"{_called(job)} ended without metrics that could be read from {code(job.output_dir)}" for job in blank]


def _not_finite(loop: LoopReport) -> list[str]:
    return [
        f"{_called(job)} logged {figures.count(metric.stats.nan_count, 'value')} of {code(metric.name)} that"
        f" {'is' if metric.stats.nan_count == 1 else 'are'} not finite"
        for job in loop.jobs
        for metric in job.key
        if metric.stats.nan_count
    ]


def _called(job: JobReport) -> str:
    return f"job {job.id} {code(job.name)}"
