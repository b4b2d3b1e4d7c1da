"""What went wrong in a loop, what was done about it and what came of that, in Markdown; nothing when nothing did."""

from datetime import tzinfo

from auto_loop.domain.job import Outcome
from auto_loop.reporting import figures
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.markdown import code, cut, fold, inline, table
from auto_loop.reporting.told import IdleSlot, LoopReport, Report
from auto_loop.reporting.tries import done, how, nth, stopped, went_wrong

TITLE = "What went wrong and what was done"
# Jobs in sight, jobs behind a fold, and slots; the JSON has every job.
IN_SIGHT, FOLDED, SLOTS = 8, 100, 8
_HEADER = ["Job", "What went wrong", "What was done", "How it stands"]


def troubles(loop: LoopReport, report: Report, zone: tzinfo) -> list[str]:
    """The section with its title, or nothing."""
    jobs = _by_descent([job for job in loop.jobs if in_trouble(job)])
    if not jobs and not loop.idle:
        return []
    in_sight = IN_SIGHT if len(jobs) > IN_SIGHT + 2 else len(jobs)  # a fold over a row or two hides nothing
    rows = [_row(job, report, zone) for job in jobs[: in_sight + FOLDED]]
    lines = [f"## {TITLE}", ""]
    if rows:
        lines += [*table(_HEADER, rows[:in_sight]), ""]
    if (more := len(jobs) - in_sight) > 0:
        which = figures.count(more, "further job") if more <= FOLDED else f"{FOLDED} of {more} further jobs"
        lines += [*fold(which, table(_HEADER, rows[in_sight:])), ""]
    return [*lines, *_idle(loop.idle, zone)]


def in_trouble(job: JobReport) -> bool:
    """Whether it failed, if only at first, or was stopped or withdrawn; what a live rule stops is no trouble."""
    if job.stopped_by_rule is not None:
        return job.failed or any(one.went_wrong for one in job.tries)
    return (
        any(one.went_wrong or one.stop for one in job.tries)
        or job.failed
        or job.outcome in (Outcome.STOPPED, Outcome.CANCELLED)
    )


def _by_descent(jobs: list[JobReport]) -> list[JobReport]:
    """`jobs` with each remedied one right behind the one whose place it took."""
    behind = {job.remedy_of: job for job in jobs if job.remedy_of is not None}
    known = {job.id for job in jobs}
    ordered = []
    for first in (job for job in jobs if job.remedy_of not in known):
        one: JobReport | None = first
        while one is not None:
            ordered.append(one)
            one = behind.pop(one.id, None)
    return ordered


def _row(job: JobReport, report: Report, zone: tzinfo) -> list[str]:
    return [_called(job), went_wrong(job), _what_was_done(job, report, zone), _came(job, report)]


def _called(job: JobReport) -> str:
    return f"{job.id} {code(job.name)}"


def _what_was_done(job: JobReport, report: Report, zone: tzinfo) -> str:
    told = [stopped(job, zone), done(job, report, zone)]
    if job.outcome is Outcome.CANCELLED:
        told.append("not tried again" if job.attempts else "taken out of the queue")
    return "; ".join(filter(None, told)) or figures.NONE


def _came(job: JobReport, report: Report) -> str:
    """How it stands; of a job whose place was taken, how that other stands."""
    child = report.job(job.replaced_by) if job.replaced_by is not None else None
    if child is not None:
        return f"job {child.id} {how(child)}"
    if job.failed:
        return f"**{how(job)}**"
    at = f" at the {nth(job.attempts)} try" if job.outcome is Outcome.SUCCEEDED and job.attempts > 1 else ""
    return f"{how(job)}{at}"


def _idle(idle: tuple[IdleSlot, ...], zone: tzinfo) -> list[str]:
    if not idle:
        return []
    lines = [_left_alone(one, zone) for one in idle[:SLOTS]]
    more = [f"- and {len(idle) - SLOTS} more; `auto-loop why` tells of each"] if len(idle) > SLOTS else []
    return [*lines, *more, ""]


def _left_alone(one: IdleSlot, zone: tzinfo) -> str:
    cause = inline(cut(one.cause, 200)) or "no cause is recorded"
    often = f" ({one.times} times)" if one.times > 1 else ""
    return f"- {inline(one.place)} was left alone at {figures.moment(one.since, zone)}: {cause}{often}"
