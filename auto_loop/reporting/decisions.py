"""What was decided after a round, in Markdown: what was taken, refused or without a place, and who was silent."""

import re
from collections.abc import Sequence

from auto_loop.domain.config import Json
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import JobId, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.reporting import figures
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.jobs import evidence
from auto_loop.reporting.markdown import code, cut, fold, inline, table
from auto_loop.reporting.told import LoopReport, Report, RoundReport
from auto_loop.reporting.tries import how

NO_RULE, NO_HISTORY = "no rule fired", "no readable history"
# Rows in sight; a longer table is folded away. Those without a place are less worth a look than the refused.
REFUSED_IN_SIGHT, NO_PLACE_IN_SIGHT = 8, 3
# Parents and rules named before the fold, and rows behind it; the JSON has them all.
PARENTS, RULES, ROWS = 12, 10, 100


def decisions(one: RoundReport, loop: LoopReport, report: Report) -> list[str]:
    """Every proposal with what became of it, and every silent job with its one cause."""
    if not one.proposals and not one.silences:
        return [_nothing(one, loop), ""]
    lines = []
    if one.silences and all(record.silence.cause == NO_RULE for record in one.silences) and not one.proposals:
        lines += ["No rule fired for any job of this round.", ""]
    by_verdict = {verdict: [each for each in one.proposals if each.verdict is verdict] for verdict in Verdict}
    lines += _accepted(by_verdict[Verdict.ACCEPTED], report)
    lines += _waiting(by_verdict[Verdict.WAITING], loop, report)
    lines += _turned_down("Refused", by_verdict[Verdict.REFUSED], report, REFUSED_IN_SIGHT)
    no_place = by_verdict[Verdict.NO_PLACE]
    lines += _turned_down("Fit to run, but without a place in the next round", no_place, report, NO_PLACE_IN_SIGHT)
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
            _why(record, report.job(record.child) if record.child is not None else None),
            _edits(record),
        ]
        for record in records
    )
    return ["Proposed and taken:", "", *table(["Next job", "From", "By", "Why", "Edits"], rows), ""]


def _waiting(records: Sequence[ProposalRecord], loop: LoopReport, report: Report) -> list[str]:
    """Proposals that are fit to run; they wait for a person's word or for a slot."""
    if not records:
        return []
    rows = [
        [
            str(record.id or figures.NONE),
            called(record.parent, report),
            _who(record),
            _edits(record),
            _why(record, None),
        ]
        for record in records[:ROWS]
    ]
    decide = f": {code(f'auto-loop review {report.study.name}')} decides"
    whom = f"a person's word{decide}" if loop.loop.flags.get("review", False) else "a slot"
    lines = table(["No.", "From", "By", "Edits", "Why it was proposed"], rows)
    if len(records) > REFUSED_IN_SIGHT:
        lines = fold(f"All {len(records)} with their edits and reasons", lines)
    return [f"Waiting for {whom}:", "", *lines, ""]


def _turned_down(title: str, records: Sequence[ProposalRecord], report: Report, in_sight: int) -> list[str]:
    """A table; of more than `in_sight` rows a line for each parent, and the table behind a fold."""
    if not records:
        return []
    why_not = {_why_not(record) for record in records}
    shared = f" ({why_not.pop()})" if len(why_not) == 1 and len(records) > 1 else ""
    rows = [_turned_down_row(record, report, bool(shared), len(records) > in_sight) for record in records[:ROWS]]
    header = ["From", "By", "Edits", "Why it was proposed", *(["Why not"] if not shared else [])]
    lines = table(header, rows)
    if len(records) > in_sight:
        which = f"All {len(records)}" if len(records) <= ROWS else f"The first {ROWS} of {len(records)}"
        lines = [*_by_parent(records, report), "", *fold(f"{which} with their edits and reasons", lines)]
    return [f"{title}{shared}:", "", *lines, ""]


def _turned_down_row(record: ProposalRecord, report: Report, shared: bool, short: bool) -> list[str]:
    why = inline(cut(record.proposal.reason, 100)) if short else _why(record, None)
    cells = [f"job {record.parent}" if short else called(record.parent, report), _who(record), _edits(record), why]
    return cells if shared else [*cells, _why_not(record)]


def _by_parent(records: Sequence[ProposalRecord], report: Report) -> list[str]:
    """`- job 3 `name`: 8 (rule, rule, …)`, a line for each parent."""
    by_parent: dict[JobId | None, list[str]] = {}
    for record in records:
        by_parent.setdefault(record.parent, []).append(_who(record))
    lines = [f"- {called(parent, report)}: {len(who)} ({_names(who)})" for parent, who in by_parent.items()]
    more = [f"- and of {figures.count(len(lines) - PARENTS, 'further job')}"] if len(lines) > PARENTS else []
    return lines[:PARENTS] + more


def _names(who: list[str]) -> str:
    names = list(dict.fromkeys(who))
    return ", ".join(names[:RULES]) + (f" and {len(names) - RULES} more" if len(names) > RULES else "")


def _why_not(record: ProposalRecord) -> str:
    return "; ".join(inline(reason) for reason in record.reasons) or figures.NONE


def _silent(one: RoundReport, report: Report) -> list[str]:
    if not one.silences:
        return []
    lines = ["Jobs that gave no next job:", ""]
    for record in one.silences:
        detail = f" ({told})" if (told := _detail(record, report)) else ""
        lines.append(f"- {called(record.silence.parent, report)}: {inline(record.silence.cause)}{detail}")
    return [*lines, ""]


def _detail(record: SilenceRecord, report: Report) -> str:
    """What there is to say of a silence; where to look for a history is no matter when the job had ended badly."""
    job = report.job(record.silence.parent)
    if job and not job.metrics and record.silence.cause == NO_HISTORY and job.outcome is not Outcome.SUCCEEDED:
        return f"it {inline(how(job))}" if job.failed else inline(job.cause)
    return inline(record.silence.detail)


def _who(record: ProposalRecord) -> str:
    return code(record.proposal.rule) if record.proposal.rule else inline(record.proposal.proposer)


def _why(record: ProposalRecord, child: JobReport | None) -> str:
    """The reason, and the readings that it does not already name itself; the job's block has all of them."""
    proposal = record.proposal
    unsaid = {name: value for name, value in proposal.evidence.items() if not _said(value, proposal.reason)}
    readings = evidence(unsaid, child)
    return inline(proposal.reason) + (f" ({readings})" if readings else "")


def _said(value: Json, reason: str) -> bool:
    """Whether a reason names this reading, as rules write numbers."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and re.search(rf"(?<![\w.]){re.escape(f'{value:.4g}')}(?![\w.]*\d)", reason) is not None


def _edits(record: ProposalRecord) -> str:
    return ", ".join(code(edit) for edit in record.edits) or figures.NONE
