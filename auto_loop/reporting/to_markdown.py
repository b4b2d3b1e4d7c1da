"""A report as Markdown, for the person who reads nothing else: the night in a few lines, then everything by rounds."""

from datetime import UTC, tzinfo

from auto_loop.reporting import figures
from auto_loop.reporting.cell_table import cell_table
from auto_loop.reporting.confirmation_text import confirmation
from auto_loop.reporting.decisions import decisions
from auto_loop.reporting.effect_text import against_base
from auto_loop.reporting.foresight_text import diagnoses, predictions
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.jobs import MOST_UNFOLDED, job_block
from auto_loop.reporting.markdown import code, inline
from auto_loop.reporting.opening import opening
from auto_loop.reporting.told import LoopReport, Report, RoundReport

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
    lines += cell_table(one, report) if one.jobs else ["No job was started in this round.", ""]
    lines += [*against_base(one, report), *predictions(one, report), *confirmation(one, report)]
    lines += [f"#### Decided after round {one.number}", "", *diagnoses(one), *decisions(one, loop, report)]
    told = _told_in_full(one, report)
    for job in told:
        block = job_block(job, report, zone, folded=len(told) > MOST_UNFOLDED)
        lines += [f"#### Job {job.id}: {inline(job.name)}", "", *block]
    if others := len(one.cells) - sum(job.id == job.cell or not job.repeat for job in told):
        lines += [f"{figures.count(others, 'further config')} of this round in the JSON beside this report.", ""]
    return lines


def _told_in_full(one: RoundReport, report: Report) -> list[JobReport]:
    """A job for each config of a study that a person can read through; else of each round the one that lies furthest.

    Those that failed are told besides, repeats among them; else a repeat is a line in its first job's block.
    """
    leads = {cell.lead.id for cell in one.cells}
    if len(report.known) <= READ_THROUGH:
        return [job for job in one.jobs if job.failed or job.id in leads]
    furthest = one.best.lead.id if one.best else None
    return [job for job in one.jobs if job.failed or job.id == furthest][:MOST_OF_MANY]


def _colophon(report: Report, zone: tzinfo) -> str:
    return (
        f"Written {figures.moment(report.written_at, zone)} from the ledger"
        f" (pack {code(report.study.pack)}, profile {code(report.study.profile)})."
        " Paths are relative to the project folder."
    )
