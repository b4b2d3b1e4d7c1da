"""The opening of a report: the newest loop in a few lines, its rounds in one table, and the loops before it."""

from collections import Counter
from datetime import tzinfo

from auto_loop.domain.job import JobId, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.reporting import figures
from auto_loop.reporting.attention import MOST, attention
from auto_loop.reporting.cells import CellReport
from auto_loop.reporting.confirmation_text import confirmations, effects_line
from auto_loop.reporting.effect_text import noise_held_against, noise_line, reach, spread
from auto_loop.reporting.foresight_text import diagnosis_line, predicted_line
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.jobs import best, goal_name
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.lineage import how_it_came_about
from auto_loop.reporting.live_text import live_line, live_rules
from auto_loop.reporting.markdown import code, cut, inline, table, with_code
from auto_loop.reporting.rules_text import rules
from auto_loop.reporting.told import LoopReport, Report, RoundReport
from auto_loop.reporting.troubles import troubles
from auto_loop.reporting.vitals import banded, highest_and_dead, vital

# Edits told in the table of rounds; the job's block has them all.
EDITS = 2
_STANDINGS = (*(str(outcome) for outcome in Outcome), "running", "starting", "queued")


def opening(report: Report, zone: tzinfo) -> list[str]:
    """What a person reads first."""
    if not report.loops:
        return ["Nothing has run in this study yet.", ""]
    newest, *earlier = report.loops
    lines = [
        _when(newest, report, zone),
        *effects_line(newest, report),
        *_furthest(newest, report),
        *noise_line(newest, report.lens),
        *diagnosis_line(newest),
        *predicted_line(newest),
        *(vital(name, newest, report) for name in banded(newest, report.lens)),
        _decided(newest),
        *_waiting(newest, report),
        *live_line(newest),
        _stopped(newest, report),
        *attention(newest, report),
        "",
        *troubles(newest, report, zone),
        *live_rules(newest, report),
        "## Round by round",
        "",
        *_rounds(newest, report.lens),
        "",
        *confirmations(report),
        *rules(report),
    ]
    if earlier:
        lines += ["## Earlier loops", "", *_loops(earlier, report, zone), ""]
    return lines


def standings(counts: dict[str, int]) -> str:
    """`10 succeeded, 1 failed`."""
    return ", ".join(f"{counts[word]} {word}" for word in _STANDINGS if counts.get(word)) or "none yet"


def _when(loop: LoopReport, report: Report, zone: tzinfo) -> str:
    ended = loop.loop.ended_at
    end = ended if ended is not None else report.written_at
    rounds = figures.count(len(loop.rounds), "round")
    took = figures.duration(end - loop.loop.started_at)
    return (
        f"- **Loop {loop.loop.number}**, {figures.span(loop.loop.started_at, end, zone)} ({took}"
        f"{'' if ended is not None else ', not ended'}): {rounds}, {figures.count(len(loop.jobs), 'job')}:"
        f" {standings(dict(loop.standing))}{_replaced(loop)}."
    )


def _replaced(loop: LoopReport) -> str:
    """How many of the failed had their place taken."""
    replaced = sum(job.replaced_by is not None for job in loop.jobs)
    return f" ({replaced} of the failed replaced by a remedied job)" if replaced else ""


def _furthest(loop: LoopReport, report: Report) -> list[str]:
    """The cell with the lowest or highest mean: a measured number, and no word on whether it is more than chance."""
    lens, cell = report.lens, loop.best
    if not lens.main_metric:
        return ["- **Main metric**: not judged, since none was named."]
    end = lens.extreme.capitalize()
    if cell is None:
        return [f"- **{end} {code(lens.goal_name)}**: none yet; no job that trained to the end has a value of it."]
    job, what = cell.lead, "mean measured" if cell.n > 1 else "measured"
    return [
        f"- **{end} {code(lens.goal_name)} {what}**: **{measured(cell, lens)}**, {_who(cell)} of round {job.round}."
        f" {_against_first(loop, cell, report)}",
        f"  - config {code(job.cfg)}",
        f"  - output {code(job.output_dir)}",
        *([f"  - how it came about: {told}"] if (told := how_it_came_about(job, report)) else []),
    ]


def measured(cell: CellReport, lens: Lens) -> str:
    """`0.3062 @500` of a single run, `0.3062 ± 0.0041 (3 seeds)` of several."""
    return best(cell.lead.main) if cell.n < 2 and lens.goal is None and cell.lead.best is not None else spread(cell)


def _who(cell: CellReport) -> str:
    return f"job {cell.lead.id} {code(cell.lead.name)}"


def _against_first(loop: LoopReport, cell: CellReport, report: Report) -> str:
    """The furthest against the furthest of the first round, said no more strongly than the runs can bear."""
    lens = report.lens
    way = "higher" if lens.extreme == "highest" else "lower"
    first, start = loop.rounds[0].best, loop.rounds[0].number
    if first is None or first.mean is None or cell.mean is None:
        return f"No job of the first round can be compared with it; {_worth(cell, None, loop, report)}."
    if cell.lead.round == start:
        later = any(each.best for each in loop.rounds[1:])
        told = f"No later round went {way}" if later else "No later round has a value to compare"
        return f"{told}; {_worth(cell, None, loop, report)}."
    gap = abs(cell.mean - first.mean)
    share = f" ({abs(100 * gap / first.mean):.3g} %)" if first.mean else ""
    small = (
        f" It is less than the smallest difference that matters ({figures.number(lens.min_difference)})."
        if gap < lens.min_difference
        else ""
    )
    return (
        f"That is {figures.number(gap)}{share} {way} than the {lens.extreme} of round {start}"
        f" ({figures.number(first.mean)}, job {first.lead.id}): {_worth(cell, first, loop, report)}.{small}"
    )


def _worth(cell: CellReport, first: CellReport | None, loop: LoopReport, report: Report) -> str:
    """What such a difference is worth."""
    if cell.n > 1 and cell.base is None:
        return "it is the base itself"
    if cell.n > 1:
        tried = [one for one in report.confirmations if one.candidate == cell.lead.cell and one.effect is not None]
        if tried:
            return f"fresh seeds {'confirm' if tried[-1].is_better else 'do not confirm'} it, as said above"
        return "picked out because it came out so, and that only fresh seeds can confirm"
    if first is None or first.mean is None or cell.mean is None:
        width = reach(loop.noise)
        return f"one seed each, {'noise not known' if width is None else f'noise floor ±{figures.number(width)}'}"
    return f"one seed each, {noise_held_against(cell.mean - first.mean, loop.noise)}"


def _decided(loop: LoopReport) -> str:
    records = [record for each in loop.rounds for record in each.proposals]
    silent = _silent(loop)
    if not records:
        return f"- **Decided**: nothing was proposed{f'; {silent}' if silent else ''}."
    counts = Counter(record.verdict for record in records)
    spoken = Counter(record.proposal.rule or record.proposal.proposer for record in records)
    by = ", ".join(f"{code(name)} {n}" for name, n in spoken.most_common(4))
    waiting = f", {counts[Verdict.WAITING]} waiting" if counts[Verdict.WAITING] else ""
    return (
        f"- **Decided**: of {figures.count(len(records), 'proposal')} {counts[Verdict.ACCEPTED]} taken,"
        f" {counts[Verdict.REFUSED]} refused, {counts[Verdict.NO_PLACE]} without a place{waiting}"
        f" ({'most often' if len(spoken) > 4 else 'by'} {by}){f'; {silent}' if silent else ''}."
    )


def _waiting(loop: LoopReport, report: Report) -> list[str]:
    """Proposals that wait for a person or a slot, and how to decide on them."""
    count = sum(record.verdict is Verdict.WAITING for each in loop.rounds for record in each.proposals)
    if not count:
        return []
    if loop.loop.flags.get("review", False):
        return [
            f"- **Waiting for a person**: {figures.count(count, 'proposal')};"
            f" {code(f'auto-loop review {report.study.name}')} decides on them."
        ]
    return [f"- **Waiting for a slot**: {figures.count(count, 'proposal')}."]


def _silent(loop: LoopReport) -> str:
    """`no rule fired (job 4, job 7)`, a cause once."""
    silences = [record.silence for each in loop.rounds for record in each.silences]
    by_cause = {each.cause: [one.parent for one in silences if one.cause == each.cause] for each in silences}
    told = {
        "refused": "every proposal refused",
        "replaced": "replaced by a remedied job",
        "forked": "followed by a live rule's successor",
    }
    return "; ".join(f"{inline(told.get(cause, cause))} ({_listed(jobs)})" for cause, jobs in by_cause.items())


def _listed(jobs: list[JobId]) -> str:
    shown = ", ".join(f"job {number}" for number in jobs[:MOST])
    return f"{shown} and {len(jobs) - MOST} more" if len(jobs) > MOST else shown


def _stopped(loop: LoopReport, report: Report) -> str:
    if loop.loop.ended_at is None and report.undriven:
        return f"- **Why it stopped**: it was left unfinished; {with_code(report.undriven)}."
    if loop.loop.ended_at is None:
        return "- **Why it stopped**: it has not stopped; this is how it stands so far."
    return f"- **Why it stopped**: {inline(loop.loop.end_reason) or 'no reason is recorded'}."


def _rounds(loop: LoopReport, lens: Lens) -> list[str]:
    shown = banded(loop, lens)
    header = ["Round", "Jobs"]
    if lens.main_metric:
        what = "mean" if loop.repeated else "@step"
        header += [f"{lens.extreme.capitalize()} {goal_name(lens)} {what}", "Changed in it"]
    header += [f"Highest last {code(name)}" for name in shown]
    return table(header, (_round_row(each, shown, lens) for each in loop.rounds))


def _round_row(one: RoundReport, shown: list[str], lens: Lens) -> list[str]:
    cell = one.best
    cells = [str(one.number), standings(Counter(str(job.outcome or job.state) for job in one.jobs))]
    if lens.main_metric:
        cells += [
            f"{measured(cell, lens)}, job {cell.lead.id}" if cell else figures.NONE,
            _changed(cell.lead) if cell else figures.NONE,
        ]
    return cells + [highest_and_dead(name, one) for name in shown]


def _changed(job: JobReport) -> str:
    told = [code(cut(change, 60)) for change in job.changes]
    if len(told) > EDITS + 1:
        told = [*told[:EDITS], f"{len(told) - EDITS} more"]
    return ", ".join(told) or figures.NONE


def _loops(loops: list[LoopReport], report: Report, zone: tzinfo) -> list[str]:
    def row(loop: LoopReport) -> list[str]:
        cell = loop.best
        return [
            str(loop.loop.number),
            figures.moment(loop.loop.started_at, zone),
            standings(dict(loop.standing)),
            f"{measured(cell, report.lens)}, {_who(cell)}" if cell else figures.NONE,
            inline(loop.loop.end_reason) or ("left unfinished" if loop.loop.ended_at is None else figures.NONE),
        ]

    end = report.lens.extreme.capitalize()
    return table(["Loop", "Started", "Jobs", f"{end} {code(report.lens.goal_name)}".strip(), "Ended"], map(row, loops))
