"""A study's history as a report. Pure.

Everything that the Markdown and the JSON say is decided here; they only write it down. Free text from outside
(reasons, causes, logs) is masked on the way in, and project paths are made relative.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from auto_loop.domain.config import Json
from auto_loop.domain.decision import ParentSeen
from auto_loop.domain.event import Event
from auto_loop.domain.history import History, ProposalRecord, SilenceRecord
from auto_loop.domain.job import Job, JobId
from auto_loop.domain.study import Loop
from auto_loop.reporting.attempts import steps
from auto_loop.reporting.cells import ConfirmationReport, cells_of_round, confirmations_of, furthest
from auto_loop.reporting.foresight import foreseen
from auto_loop.reporting.job_report import Comparison, JobReport, job_report
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.outside import all_said, said
from auto_loop.reporting.rule_records import WITHOUT_METRICS, parents_seen, rule_report
from auto_loop.reporting.runs import Runs, runs_of
from auto_loop.reporting.told import Diagnosed, IdleSlot, LoopReport, Report, RoundReport, Warned

T = TypeVar("T")
# Kinds of events that a report tells of; the rest it knows from the jobs.
JOB_SETTLED, SLOT_BLOCKED, LIVE_RULE, NOT_FORKED = "job settled", "slot blocked", "live rule", "fork refused"
TOLD = frozenset({JOB_SETTLED, SLOT_BLOCKED, LIVE_RULE, NOT_FORKED, WITHOUT_METRICS})


def report(history: History, lens: Lens, now: float, *, events: Sequence[Event] = (), undriven: str = "") -> Report:
    """The report of a study as its history stands at `now` (unix s). Jobs that still run are in it.

    `events` are those of the kinds in `TOLD`, oldest first; without them the report says less of what was not done.
    """
    runs = runs_of(history, lens)
    jobs = _jobs(history, runs, lens, now, events)
    confirmations = confirmations_of(history, jobs.values())
    told = _Told(
        history=history,
        runs=runs,
        jobs=jobs,
        lens=lens,
        confirmations=confirmations,
        parents=parents_seen(history),
        events=events,
    )
    loops = _with_noise(
        [
            _loop(loop, [job for job in jobs.values() if job.loop == loop.number], told)
            for loop in sorted(history.loops, key=lambda loop: loop.number, reverse=True)
        ],
        runs,
    )
    return Report(
        study=history.study,
        written_at=now,
        loops=loops,
        lens=lens,
        known=jobs,
        cells={cell.lead.id: cell for loop in loops for one in loop.rounds for cell in one.cells},
        effects={
            lead: effect for lead, cell in runs.cells.items() if (effect := runs.against_parent(cell)) is not None
        },
        confirmations=confirmations,
        rules=rule_report(history, events),
        undriven=said(undriven, lens),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """All of a study that its loops are told from, beside their jobs."""

    history: History
    runs: Runs
    jobs: Mapping[JobId, JobReport]
    lens: Lens
    confirmations: tuple[ConfirmationReport, ...]
    parents: Mapping[tuple[int, int], tuple[ParentSeen, ...]]
    events: Sequence[Event]


def _jobs(history: History, runs: Runs, lens: Lens, now: float, events: Sequence[Event]) -> dict[JobId, JobReport]:
    """Every job with what others have to do with it."""
    evidence = {each.child: each.proposal.evidence for each in history.proposals if each.child is not None}
    jobs = {
        job.id: job_report(job, history.summaries.get(job.id), lens, now, evidence.get(job.id, {}))
        for job in history.jobs
    }
    jobs = _remedied(jobs, history, lens)
    settled = {each.job: str(each.detail.get("text", "")) for each in events if each.kind == JOB_SETTLED}
    expected = foreseen(history.proposals, history.summaries, runs, lens)
    forked = {job.fork_of: job.id for job in jobs.values() if job.fork_of is not None}
    return {
        job.id: replace(
            _compared(job, jobs, lens),
            settled=said(settled.get(job.id, ""), lens),
            cell=runs.lead_of.get(job.id, job.cell),
            seed=runs.seeds.get(job.id),
            foreseen=expected.get(job.id, ()),
            forked_to=forked.get(job.cell),
        )
        for job in jobs.values()
    }


def _with_noise(loops: list[LoopReport], runs: Runs) -> tuple[LoopReport, ...]:
    """Each loop with its noise floor; one that has none takes the newest that is known."""
    own = {loop.loop.number: runs.floor(loop.loop.number) for loop in loops}
    known = [number for number in own if own[number].sd is not None]
    found = []
    for loop in loops:
        number = loop.loop.number if loop.loop.number in known else next(iter(known), 0)
        found.append(replace(loop, noise=own[number], noise_of=number) if number else loop)
    return tuple(found)


def _remedied(jobs: Mapping[JobId, JobReport], history: History, lens: Lens) -> dict[JobId, JobReport]:
    """`jobs` with failed ones and the remedied ones that took their place knowing of each other."""
    sources: dict[JobId, Job] = {job.id: job for job in history.jobs}
    found = dict(jobs)
    for job in jobs.values():
        if job.remedy_of is None or job.remedy_of not in found:
            continue
        changed = steps(sources[job.remedy_of].config, sources[job.id].config, lens)
        found[job.id] = replace(found[job.id], steps=changed)
        found[job.remedy_of] = replace(found[job.remedy_of], replaced_by=job.id)
    return found


def _idle(events: Sequence[Event], lens: Lens) -> tuple[IdleSlot, ...]:
    """Each slot's causes, once."""
    found: dict[tuple[str, str], IdleSlot] = {}
    for each in events:
        place, cause, where = (str(each.detail.get(key, "")) for key in ("slot", "cause", "where"))
        place = f"slot {place or '?'}{f' ({where})' if where else ''}"
        cause = said(cause, lens)
        known = found.get((place, cause))
        found[place, cause] = (
            replace(known, times=known.times + 1) if known else IdleSlot(place=place, cause=cause, since=each.at)
        )
    return tuple(found.values())


def _compared(job: JobReport, jobs: Mapping[JobId, JobReport], lens: Lens) -> JobReport:
    """`job` with its parent's config and, where both have a best main metric, the comparison."""
    if job.parent is None or job.parent not in jobs:
        return job
    if job.repeat:  # its parent is the same config
        return replace(job, parent_cfg=job.parent_cfg or jobs[job.parent].cfg)
    parent = jobs[job.parent]
    against = None
    if job.best is not None and parent.best is not None:
        difference = job.best - parent.best
        against = Comparison(
            parent=parent.id,
            parent_best=parent.best,
            best=job.best,
            difference=difference,
            matters=abs(difference) >= lens.min_difference,
        )
    return replace(job, parent_cfg=job.parent_cfg or parent.cfg, against=against)


def _loop(loop: Loop, jobs: list[JobReport], told: _Told) -> LoopReport:
    lens, history = told.lens, told.history
    by_round = _grouped(jobs, lambda job: job.round)
    safe = (_safe(each, lens) for each in history.proposals if each.loop == loop.number)
    proposals = _grouped(safe, lambda one: one.round)
    quiet = (_quiet(each, told.jobs, lens) for each in history.silences if each.loop == loop.number)
    silences = _grouped(quiet, lambda one: one.round)
    diagnosed = {
        number: tuple(
            Diagnosed(job=parent.job, name=name, text=said(text, lens))
            for parent in parents
            for name, text in parent.diagnoses
        )
        for (of, number), parents in told.parents.items()
        if of == loop.number
    }
    cells = {number: cells_of_round(found, told.runs) for number, found in by_round.items()}
    confirmations = {one.round: one for one in told.confirmations if one.loop == loop.number}
    return LoopReport(
        loop=replace(loop, end_reason=said(loop.end_reason, lens)),
        rounds=tuple(
            RoundReport(
                loop=loop.number,
                number=number,
                jobs=tuple(by_round.get(number, ())),
                cells=cells.get(number, ()),
                diagnosed=diagnosed.get(number, ()),
                confirmation=confirmations.get(number),
                proposals=tuple(proposals.get(number, ())),
                silences=tuple(silences.get(number, ())),
                best=furthest(cells.get(number, ()), lens),
            )
            for number in sorted({*by_round, *proposals, *silences})
        ),
        best=furthest((cell for found in cells.values() for cell in found), lens),
        standing=Counter(str(job.outcome or job.state) for job in jobs),
        idle=_idle([each for each in told.events if each.kind == SLOT_BLOCKED and each.loop == loop.number], lens),
        warned=_warned([each for each in told.events if each.loop == loop.number], lens),
    )


def _warned(events: Sequence[Event], lens: Lens) -> tuple[Warned, ...]:
    """What live rules said of jobs that they did not stop, and why one could start no successor."""
    return tuple(
        Warned(job=each.job, rule=str(each.detail.get("rule", "")), text=said(_text(each.detail), lens))
        for each in events
        if each.kind in (LIVE_RULE, NOT_FORKED) and each.job is not None
    )


def _text(detail: Mapping[str, Json]) -> str:
    reasons = detail.get("reasons")
    if isinstance(reasons, list):
        return f"no successor: {'; '.join(map(str, reasons))}"
    return str(detail.get("text", ""))


def _safe(record: ProposalRecord, lens: Lens) -> ProposalRecord:
    proposal = replace(record.proposal, reason=said(record.proposal.reason, lens))
    edits = record.edits or tuple(f"{path}={value}" for path, value in record.proposal.changes.items())
    return replace(record, proposal=proposal, edits=all_said(edits, lens), reasons=all_said(record.reasons, lens))


def _quiet(record: SilenceRecord, jobs: Mapping[JobId, JobReport], lens: Lens) -> SilenceRecord:
    """`record` with files in the job's own output folder named from there."""
    detail = said(record.silence.detail, lens)
    job = jobs.get(record.silence.parent)
    if job is not None and job.output_dir:
        detail = detail.replace(f"{job.output_dir}/", "")
    return replace(record, silence=replace(record.silence, detail=detail))


def _grouped(items: Iterable[T], key: Callable[[T], int]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
