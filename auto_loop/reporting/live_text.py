"""What live rules did in a loop, in Markdown: the jobs that they stopped, and those that they only warned of."""

from auto_loop.domain.job import Outcome
from auto_loop.reporting import figures
from auto_loop.reporting.effect_text import listed
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.markdown import code, cut, fold, inline, table
from auto_loop.reporting.told import LoopReport, Report, Warned
from auto_loop.reporting.tries import how

# Jobs in sight and behind a fold; rules that warned in sight; jobs named in the opening.
IN_SIGHT, FOLDED, WARNINGS, NAMED = 8, 100, 6, 4
_WIDTH = 200


def stopped_by_rules(loop: LoopReport) -> list[JobReport]:
    """The jobs that a live rule stopped, or is stopping."""
    return [job for job in loop.jobs if job.stopped_by_rule is not None]


def live_line(loop: LoopReport) -> list[str]:
    """One list item of the opening, or nothing."""
    jobs = stopped_by_rules(loop)
    if not jobs and not loop.warned:
        return []
    told = []
    if jobs:
        forks = sum(job.fork_of is not None for job in loop.jobs)
        names = ", ".join(f"job {job.id}" for job in jobs[:NAMED])
        more = f" and {len(jobs) - NAMED} more" if len(jobs) > NAMED else ""
        after = f"; {figures.count(forks, 'changed successor')} started" if forks else ""
        told.append(f"{figures.count(len(jobs), 'job')} stopped early ({names}{more}){after}")
    if loop.warned:
        told.append(figures.count(len(loop.warned), "warning"))
    return [f"- **Live rules**: {', '.join(told)}."]


def live_rules(loop: LoopReport, report: Report) -> list[str]:
    """The section with its title, or nothing."""
    jobs = stopped_by_rules(loop)
    if not jobs and not loop.warned:
        return []
    lines = ["## What live rules did", ""]
    if jobs:
        rows = [_row(job, report) for job in jobs[: IN_SIGHT + FOLDED]]
        header = ["Job", "Stopped by", "Trained", "What followed"]
        in_sight = IN_SIGHT if len(rows) > IN_SIGHT + 2 else len(rows)
        lines += [*table(header, rows[:in_sight]), ""]
        if len(rows) > in_sight:
            lines += [*fold(figures.count(len(jobs) - in_sight, "further job"), table(header, rows[in_sight:])), ""]
    return [*lines, *_warnings(loop)]


def _warnings(loop: LoopReport) -> list[str]:
    """What was said of jobs that went on, each rule once with its jobs."""
    by_rule: dict[str, list[Warned]] = {}
    for one in loop.warned:
        by_rule.setdefault(one.rule, []).append(one)
    told = [
        f"- {code(rule)} ({cut(listed(sorted({one.job for one in found})), 80)}):"
        f" {'first: ' if len(found) > 1 else ''}{inline(cut(found[0].text, _WIDTH))}"
        for rule, found in by_rule.items()
    ]
    more = [f"- and {len(told) - WARNINGS} more rules"] if len(told) > WARNINGS else []
    return ["Live rules also said:", "", *told[:WARNINGS], *more, ""] if told else []


def _row(job: JobReport, report: Report) -> list[str]:
    attempt = job.stopped_by_rule
    stop = attempt.stop if attempt else None
    started, ended = (attempt.started_at, attempt.ended_at) if attempt else (None, None)
    took = figures.duration(ended - started) if started is not None and ended is not None else figures.NONE
    return [f"{job.id} {code(job.name)}", inline(cut(stop.text if stop else "", _WIDTH)), took, followed(job, report)]


def followed(job: JobReport, report: Report) -> str:
    """The successor with what it changed, or that there is none."""
    child = report.job(job.forked_to) if job.forked_to is not None else None
    if child is None:
        return "only stopped" if job.outcome is Outcome.STOPPED else how(job)
    edits = ", ".join(code(cut(change, 60)) for change in child.changes)
    warm = f", from the checkpoint of job {child.warm_from}" if child.warm_from is not None else ""
    return f"successor job {child.id} {code(child.name)} ({edits}{warm}): {how(child)}"
