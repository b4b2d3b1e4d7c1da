"""A report as Markdown, for the person who reads nothing else: the night in a few lines, then everything by rounds."""

from datetime import UTC, tzinfo

from auto_loop.reporting import figures
from auto_loop.reporting.decisions import decisions
from auto_loop.reporting.jobs import MOST_UNFOLDED, job_block, job_table
from auto_loop.reporting.markdown import code, inline
from auto_loop.reporting.opening import opening
from auto_loop.reporting.report import LoopReport, Report, RoundReport


def to_markdown(report: Report, zone: tzinfo = UTC) -> str:
    """The whole report; times in `zone`. The same report gives the same text."""
    lines = [f"# Study {inline(report.study.name)}", "", *opening(report, zone)]
    for each in report.loops:
        lines += [f"## Loop {each.loop.number} in full", ""]
        for one in each.rounds:
            lines += _round(one, each, report)
    lines += [_colophon(report, zone), ""]
    return "\n".join(lines)


def _round(one: RoundReport, loop: LoopReport, report: Report) -> list[str]:
    lines = [f"### Round {one.number}", ""]
    lines += [*job_table(one, report), ""] if one.jobs else ["No job was started in this round.", ""]
    lines += [f"#### Decided after round {one.number}", "", *decisions(one, loop, report)]
    folded = len(one.jobs) > MOST_UNFOLDED
    for job in one.jobs:
        lines += [f"#### Job {job.id}: {inline(job.name)}", "", *job_block(job, report, folded=folded)]
    return lines


def _colophon(report: Report, zone: tzinfo) -> str:
    return (
        f"Written {figures.moment(report.written_at, zone)} from the ledger"
        f" (pack {code(report.study.pack)}, profile {code(report.study.profile)})."
        " Paths are relative to the project folder."
    )
