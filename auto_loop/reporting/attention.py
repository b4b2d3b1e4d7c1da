"""What needs a look in the morning: failures first, then runs that say less than they should."""

from auto_loop.domain.job import JobState, Outcome
from auto_loop.reporting import figures
from auto_loop.reporting.lens import Health
from auto_loop.reporting.markdown import code, cut, inline
from auto_loop.reporting.report import JobReport, LoopReport, Report

MOST = 8


def attention(loop: LoopReport, report: Report) -> list[str]:
    """A list item with one sub-item for each thing that needs a look, or the word that nothing does."""
    found = [*_failures(loop), *_dead(loop, report), *_unreadable(loop), *_not_finite(loop), *_retried(loop)]
    if not found:
        return ["- **Needs attention**: nothing."]
    more = [f"  - and {len(found) - MOST} more, in the rounds below"] if len(found) > MOST else []
    return ["- **Needs attention**:", *(f"  - {each}" for each in found[:MOST]), *more]


def _failures(loop: LoopReport) -> list[str]:
    return [_failure(job) for job in loop.jobs if job.failed]


def _failure(job: JobReport) -> str:
    after = f" after {figures.duration(job.duration_s)}" if job.duration_s is not None else ""
    end = f" Its log ends: {code(cut(job.log_lines[-1], 160))}" if job.log_lines else ""
    where = f" ({code(job.log)})" if job.log else ""
    cause = inline(cut(job.cause.rstrip("."), 200)) or "cause not known"
    return f"{_called(job)} {job.outcome}{after}: {cause}.{end}{where}"


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
    blank = [job for job in loop.jobs if job.outcome in (Outcome.SUCCEEDED, Outcome.STOPPED) and not job.metrics]
    return [f"{_called(job)} ended without metrics that could be read from {code(job.output_dir)}" for job in blank]


def _not_finite(loop: LoopReport) -> list[str]:
    return [
        f"{_called(job)} logged {figures.count(metric.stats.nan_count, 'value')} of {code(metric.name)} that"
        f" {'is' if metric.stats.nan_count == 1 else 'are'} not finite"
        for job in loop.jobs
        for metric in job.key
        if metric.stats.nan_count
    ]


def _retried(loop: LoopReport) -> list[str]:
    return [
        f"{_called(job)} is at its attempt {job.attempts}"
        if job.state is not JobState.DONE
        else f"{_called(job)} took {job.attempts} attempts"
        for job in loop.jobs
        if job.attempts > 1
    ]


def _called(job: JobReport) -> str:
    return f"job {job.id} {code(job.name)}"
