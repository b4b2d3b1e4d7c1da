"""What was decided after a round, in Markdown: what was taken, refused or without a place, and who was silent."""

from collections.abc import Sequence

from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Verdict
from auto_loop.reporting import figures
from auto_loop.reporting.jobs import evidence
from auto_loop.reporting.markdown import code, inline, table
from auto_loop.reporting.report import LoopReport, Report, RoundReport

NO_RULE = "no rule fired"


def decisions(one: RoundReport, loop: LoopReport, report: Report) -> list[str]:
    """Every proposal with what became of it, and every silent job with its one cause."""
    if not one.proposals and not one.silences:
        return [_nothing(one, loop), ""]
    lines = []
    if one.silences and all(record.silence.cause == NO_RULE for record in one.silences) and not one.proposals:
        lines += ["No rule fired for any job of this round.", ""]
    by_verdict = {verdict: [each for each in one.proposals if each.verdict is verdict] for verdict in Verdict}
    lines += _accepted(by_verdict[Verdict.ACCEPTED], report)
    lines += _turned_down("Refused:", by_verdict[Verdict.REFUSED], report)
    lines += _turned_down("Fit to run, but without a place in the next round:", by_verdict[Verdict.NO_PLACE], report)
    return lines + _silent(one, report)


def called(number: JobId | None, report: Report) -> str:
    """A job by its number and name."""
    if number is None:
        return figures.NONE
    job = report.job(number)
    return f"job {number} {code(job.name)}" if job else f"job {number}"


def _nothing(one: RoundReport, loop: LoopReport) -> str:
    if one.open:
        return f"Not yet: {figures.count(one.open, 'job')} of this round still to end."
    if not loop.loop.flags.get("decide", True):
        return "Nothing: the loop was started without `--decide`."
    if loop.loop.ended_at is None:
        return "Nothing is recorded yet."
    reason = f" ({inline(loop.loop.end_reason)})" if loop.loop.end_reason else ""
    return f"Nothing was asked of the rules: the loop ended with this round{reason}."


def _accepted(records: Sequence[ProposalRecord], report: Report) -> list[str]:
    if not records:
        return []
    rows = (
        [
            called(record.child, report) if record.child is not None else "not launched yet",
            f"job {record.parent}",
            _who(record),
            _why(record),
            _edits(record),
        ]
        for record in records
    )
    return ["Proposed and taken:", "", *table(["Next job", "From", "By", "Why", "Edits"], rows), ""]


def _turned_down(title: str, records: Sequence[ProposalRecord], report: Report) -> list[str]:
    if not records:
        return []
    rows = (
        [
            called(record.parent, report),
            _who(record),
            _edits(record),
            _why(record),
            "; ".join(inline(reason) for reason in record.reasons) or figures.NONE,
        ]
        for record in records
    )
    return [title, "", *table(["From", "By", "Edits", "Why it was proposed", "Why not"], rows), ""]


def _silent(one: RoundReport, report: Report) -> list[str]:
    if not one.silences:
        return []
    lines = ["Jobs that gave no next job:", ""]
    for record in one.silences:
        detail = f" ({inline(record.silence.detail)})" if record.silence.detail else ""
        lines.append(f"- {called(record.silence.parent, report)}: {inline(record.silence.cause)}{detail}")
    return [*lines, ""]


def _who(record: ProposalRecord) -> str:
    return code(record.proposal.rule) if record.proposal.rule else inline(record.proposal.proposer)


def _why(record: ProposalRecord) -> str:
    readings = evidence(record.proposal.evidence)
    return inline(record.proposal.reason) + (f" ({readings})" if readings else "")


def _edits(record: ProposalRecord) -> str:
    return ", ".join(code(edit) for edit in record.edits) or figures.NONE
