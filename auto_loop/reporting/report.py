"""The report as a value: what happened in a study, loop by loop, round by round, job by job. Pure.

Everything that the Markdown and the JSON say is decided here; they only write it down. Free text from outside
(reasons, causes, logs) is masked on the way in, and project paths are made relative.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from auto_loop.domain.config import Json
from auto_loop.domain.event import Event
from auto_loop.domain.history import History, ProposalRecord, SilenceRecord
from auto_loop.domain.job import Job, JobId, JobState
from auto_loop.domain.study import Loop, Study
from auto_loop.reporting.attempts import steps
from auto_loop.reporting.job_report import Comparison, JobReport, job_report
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.outside import all_said, said

# Kinds of events that a report tells of; the rest it knows from the jobs.
JOB_SETTLED, SLOT_BLOCKED = "job settled", "slot blocked"
TOLD = frozenset({JOB_SETTLED, SLOT_BLOCKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSlot:
    """That a slot was left alone for a cause that lay outside of the loop, `times` times, first at `since` (unix s)."""

    place: str
    cause: str
    since: float
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One round: its jobs, and what was decided after them."""

    loop: int
    number: int
    jobs: tuple[JobReport, ...]
    proposals: tuple[ProposalRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    best: JobReport | None = None

    @property
    def open(self) -> int:
        """How many of its jobs have not ended."""
        return sum(job.state is not JobState.DONE for job in self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """One loop: its rounds in order, the job with the best main metric, and its jobs counted by how they stand."""

    loop: Loop
    rounds: tuple[RoundReport, ...]
    best: JobReport | None = None
    standing: Mapping[str, int] = field(default_factory=dict)
    idle: tuple[IdleSlot, ...] = ()

    @property
    def jobs(self) -> tuple[JobReport, ...]:
        """All its jobs, in order of rounds."""
        return tuple(job for each in self.rounds for job in each.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A study at the moment `written_at` (unix s); loops newest first. `known` are all its jobs by number.

    `undriven` says that nobody drives the study's unfinished loop, and how to go on; empty when somebody may.
    """

    study: Study
    written_at: float
    loops: tuple[LoopReport, ...]
    lens: Lens
    known: Mapping[JobId, JobReport] = field(default_factory=dict)
    undriven: str = ""

    def repeats(self, loop: int) -> Json:
        """How many times each config of a loop was run; 1 unless the loop's flags say otherwise."""
        return next((each.loop.flags.get("repeats", 1) for each in self.loops if each.loop.number == loop), 1)

    def job(self, number: JobId) -> JobReport | None:
        """The job with this number, whichever loop it belongs to."""
        return self.known.get(number)


def report(history: History, lens: Lens, now: float, *, events: Sequence[Event] = (), undriven: str = "") -> Report:
    """The report of a study as its history stands at `now` (unix s). Jobs that still run are in it.

    `events` are those of the kinds in `TOLD`, oldest first; without them the report says less of what was not done.
    """
    evidence = {each.child: each.proposal.evidence for each in history.proposals if each.child is not None}
    jobs = {
        job.id: job_report(job, history.summaries.get(job.id), lens, now, evidence.get(job.id, {}))
        for job in history.jobs
    }
    jobs = _remedied(jobs, history, lens)
    settled = {each.job: str(each.detail.get("text", "")) for each in events if each.kind == JOB_SETTLED}
    compared = [
        replace(_compared(job, jobs, lens), settled=said(settled.get(job.id, ""), lens)) for job in jobs.values()
    ]
    loops = sorted(history.loops, key=lambda loop: loop.number, reverse=True)
    idle = [each for each in events if each.kind == SLOT_BLOCKED]
    return Report(
        study=history.study,
        written_at=now,
        loops=tuple(
            replace(
                _loop(loop, [job for job in compared if job.loop == loop.number], history, lens),
                idle=_idle([each for each in idle if each.loop == loop.number], lens),
            )
            for loop in loops
        ),
        lens=lens,
        known={job.id: job for job in compared},
        undriven=said(undriven, lens),
    )


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


def _loop(loop: Loop, jobs: list[JobReport], history: History, lens: Lens) -> LoopReport:
    rounds_of = {job.id: job.round for job in jobs}
    proposals = [_safe(each, lens) for each in history.proposals if each.loop == loop.number]
    silences = [_quiet(each, jobs, lens) for each in history.silences if each.loop == loop.number]
    spoken = {rounds_of.get(p.parent, p.round) for p in proposals}
    silent = {rounds_of.get(s.silence.parent, s.round) for s in silences}
    numbers = sorted({job.round for job in jobs} | spoken | silent)
    return LoopReport(
        loop=replace(loop, end_reason=said(loop.end_reason, lens)),
        rounds=tuple(
            RoundReport(
                loop=loop.number,
                number=number,
                jobs=tuple(job for job in jobs if job.round == number),
                proposals=tuple(p for p in proposals if rounds_of.get(p.parent, p.round) == number),
                silences=tuple(s for s in silences if rounds_of.get(s.silence.parent, s.round) == number),
                best=_best([job for job in jobs if job.round == number], lens),
            )
            for number in numbers
        ),
        best=_best(jobs, lens),
        standing=Counter(str(job.outcome or job.state) for job in jobs),
    )


def _best(jobs: list[JobReport], lens: Lens) -> JobReport | None:
    """The job with the best main metric, the first of equals; None where none has one."""
    best: JobReport | None = None
    for job in jobs:
        if job.best is not None and (best is None or best.best is None or lens.better(job.best, best.best)):
            best = job
    return best


def _safe(record: ProposalRecord, lens: Lens) -> ProposalRecord:
    proposal = replace(record.proposal, reason=said(record.proposal.reason, lens))
    edits = record.edits or tuple(f"{path}={value}" for path, value in record.proposal.changes.items())
    return replace(record, proposal=proposal, edits=all_said(edits, lens), reasons=all_said(record.reasons, lens))


def _quiet(record: SilenceRecord, jobs: list[JobReport], lens: Lens) -> SilenceRecord:
    """`record` with files in the job's own output folder named from there."""
    detail = said(record.silence.detail, lens)
    for job in jobs:
        if job.id == record.silence.parent and job.output_dir:
            detail = detail.replace(f"{job.output_dir}/", "")
    return replace(record, silence=replace(record.silence, detail=detail))
