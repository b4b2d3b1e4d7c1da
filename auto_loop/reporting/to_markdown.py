"""A report as Markdown, for the person who reads nothing else: the night in a few lines, then everything by rounds."""

from datetime import UTC, tzinfo

from auto_loop.reporting import figures
from auto_loop.reporting.decisions import decisions
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.jobs import MOST_UNFOLDED, job_block, job_table
from auto_loop.reporting.markdown import code, inline
from auto_loop.reporting.opening import opening
from auto_loop.reporting.report import LoopReport, Report, RoundReport

# Jobs of a study that are all told in full, and at most how many of a round in a larger one: a report of thousands of
# blocks is too long for people and for the viewers of code hosts.
READ_THROUGH, MOST_OF_MANY = 200, 20


def to_markdown(report: Report, zone: tzinfo = UTC) -> str:
    """The whole report; times in `zone`. The same report gives the same text."""
    lines = [f"# Study {inline(report.study.name)}", "", *opening(report, zone)]
    for each in report.loops:
        lines += [f"## Loop {each.loop.number} in full", ""]
        for one in each.rounds:
            lines += _round(one, each, report, zone)
    lines += [_colophon(report, zone), ""]
    return "\n".join(lines)


def _round(one: RoundReport, loop: LoopReport, report: Report, zone: tzinfo) -> list[str]:
    lines = [f"### Round {one.number}", ""]
    lines += [*job_table(one, report), ""] if one.jobs else ["No job was started in this round.", ""]
    lines += [f"#### Decided after round {one.number}", "", *decisions(one, loop, report)]
    told = _told_in_full(one, report)
    for job in told:
        block = job_block(job, report, zone, folded=len(one.jobs) > MOST_UNFOLDED)
        lines += [f"#### Job {job.id}: {inline(job.name)}", "", *block]
    if others := len(one.jobs) - len(told):
        lines += [f"{figures.count(others, 'further job')} of this round in the JSON beside this report.", ""]
    return lines


def _told_in_full(one: RoundReport, report: Report) -> list[JobReport]:
    """Every job of a study that a person can read through; else each round's best and those that failed."""
    if len(report.known) <= READ_THROUGH:
        return list(one.jobs)
    best = one.best.id if one.best else None
    return [job for job in one.jobs if job.failed or job.id == best][:MOST_OF_MANY]


def _colophon(report: Report, zone: tzinfo) -> str:
    return (
        f"Written {figures.moment(report.written_at, zone)} from the ledger"
        f" (pack {code(report.study.pack)}, profile {code(report.study.profile)})."
        " Paths are relative to the project folder."
    )
