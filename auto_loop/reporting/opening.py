"""The opening of a report: the newest loop in a few lines, its rounds in one table, and the loops before it."""

from collections import Counter
from datetime import tzinfo

from auto_loop.domain.job import JobId, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.stats import Direction
from auto_loop.reporting import figures
from auto_loop.reporting.attention import MOST, attention
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.jobs import best, metric_name, noise
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.lineage import how_it_came_about
from auto_loop.reporting.markdown import code, cut, inline, table, with_code
from auto_loop.reporting.report import LoopReport, Report, RoundReport
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
        *_best(newest, report),
        *(vital(name, newest, report) for name in banded(newest, report.lens)),
        _decided(newest),
        _stopped(newest, report),
        *attention(newest, report),
        "",
        *troubles(newest, report, zone),
        "## Round by round",
        "",
        *_rounds(newest, report.lens),
        "",
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


def _best(loop: LoopReport, report: Report) -> list[str]:
    lens = report.lens
    if not lens.main_metric:
        return ["- **Best**: not judged, since no main metric was named."]
    if loop.best is None:
        return [f"- **Best**: none yet; no ended job has a best value of {code(lens.main_metric)}."]
    job, way = loop.best, "higher" if lens.direction(lens.main_metric) is Direction.HIGHER else "lower"
    return [
        f"- **Best {code(lens.main_metric)}** ({way} is better): **{best(job.main)}**, job {job.id} {code(job.name)}"
        f" of round {job.round}. {_against_first(loop, job, lens, way)}",
        f"  - config {code(job.cfg)}",
        f"  - output {code(job.output_dir)}",
        *([f"  - how it came about: {told}"] if (told := how_it_came_about(job, report)) else []),
    ]


def _against_first(loop: LoopReport, job: JobReport, lens: Lens, way: str) -> str:
    """The best against the best of the first round, said no more strongly than single runs can bear."""
    seeds = f"one seed each, {noise(loop.loop.flags.get('repeats', 1))}"
    first = loop.rounds[0].best
    if first is None or first.best is None or job.best is None:
        return f"No job of the first round can be compared with it; {seeds}."
    if job.round == loop.rounds[0].number:
        later = any(each.best for each in loop.rounds[1:])
        return f"{f'No later round went {way}' if later else 'No later round has a value to compare'}; {seeds}."
    gap = abs(job.best - first.best)
    share = f" ({abs(100 * gap / first.best):.3g} %)" if first.best else ""
    small = (
        f" It is less than the smallest difference that matters ({figures.number(lens.min_difference)})."
        if gap < lens.min_difference
        else ""
    )
    return (
        f"That is {figures.number(gap)}{share} {way} than the best of round {loop.rounds[0].number}"
        f" ({figures.number(first.best)}, job {first.id}): {seeds}.{small}"
    )


def _decided(loop: LoopReport) -> str:
    records = [record for each in loop.rounds for record in each.proposals]
    silent = _silent(loop)
    if not records:
        return f"- **Decided**: nothing was proposed{f'; {silent}' if silent else ''}."
    counts = Counter(record.verdict for record in records)
    spoken = Counter(record.proposal.rule or record.proposal.proposer for record in records)
    by = ", ".join(f"{code(name)} {n}" for name, n in spoken.most_common(4))
    return (
        f"- **Decided**: of {figures.count(len(records), 'proposal')} {counts[Verdict.ACCEPTED]} taken,"
        f" {counts[Verdict.REFUSED]} refused, {counts[Verdict.NO_PLACE]} without a place"
        f" ({'most often' if len(spoken) > 4 else 'by'} {by}){f'; {silent}' if silent else ''}."
    )


def _silent(loop: LoopReport) -> str:
    """`no rule fired (job 4, job 7)`, a cause once."""
    silences = [record.silence for each in loop.rounds for record in each.silences]
    by_cause = {each.cause: [one.parent for one in silences if one.cause == each.cause] for each in silences}
    told = {"refused": "every proposal refused", "replaced": "replaced by a remedied job"}
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
        header += [f"Best {metric_name(lens.main_metric, lens)} @step", "Changed in it"]
    header += [f"Highest last {code(name)}" for name in shown]
    return table(header, (_round_row(each, shown, lens) for each in loop.rounds))


def _round_row(one: RoundReport, shown: list[str], lens: Lens) -> list[str]:
    job = one.best
    cells = [str(one.number), standings(Counter(str(job.outcome or job.state) for job in one.jobs))]
    if lens.main_metric:
        cells += [
            f"{best(job.main)}, job {job.id}" if job else figures.NONE,
            _changed(job) if job else figures.NONE,
        ]
    return cells + [highest_and_dead(name, one) for name in shown]


def _changed(job: JobReport) -> str:
    told = [code(cut(change, 60)) for change in job.changes]
    if len(told) > EDITS + 1:
        told = [*told[:EDITS], f"{len(told) - EDITS} more"]
    return ", ".join(told) or figures.NONE


def _loops(loops: list[LoopReport], report: Report, zone: tzinfo) -> list[str]:
    def row(loop: LoopReport) -> list[str]:
        job = loop.best
        return [
            str(loop.loop.number),
            figures.moment(loop.loop.started_at, zone),
            standings(dict(loop.standing)),
            f"{best(job.main)}, job {job.id} {code(job.name)}" if job else figures.NONE,
            inline(loop.loop.end_reason) or ("left unfinished" if loop.loop.ended_at is None else figures.NONE),
        ]

    name = report.lens.main_metric
    return table(["Loop", "Started", "Jobs", f"Best {code(name)}" if name else "Best", "Ended"], map(row, loops))
