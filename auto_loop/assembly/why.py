"""What `why` answers from: each loop with who drives it, its slots and its waiting jobs, each with its cause.

Everything comes out of the ledger, whether a supervisor lives or not, and by queries whose cost follows the open jobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from auto_loop.assembly.supervisors import Here, Standing, standing, undriven
from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.domain.job import Job, JobId, JobState
from auto_loop.domain.slot import SlotState
from auto_loop.domain.snapshot import Snapshot
from auto_loop.domain.study import Loop, Supervisor
from auto_loop.launch import processes
from auto_loop.ledger.reading import Reading
from auto_loop.loop.accounts import Asked, account
from auto_loop.loop.causes import Line, waiting_cause

HEAD = 50  # queued jobs that are looked at one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """A slot with the `job` that holds it, or the `cause` of its being idle. `gone`: the job's process is no more.

    `last` is the cause that a supervisor which is gone left: of an idle loop, it may be why it was left.
    """

    state: SlotState
    job: Job | None = None
    cause: str = ""
    last: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued job and why it has not started."""

    job: Job
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopView:
    """One loop as `why` shows it. `earlier` are jobs of the study's other loops that still run.

    `undriven` says that nobody drives it, empty when somebody does, and `turn` so in few words; `unlisted` counts the
    queued jobs after `waiting`, `proposals` those that wait, for a person or a free slot.
    """

    loop: Loop
    round: int
    supervisor: Supervisor | None
    standing: Standing
    undriven: str
    turn: str
    slots: tuple[SlotView, ...]
    earlier: tuple[Job, ...]
    waiting: tuple[Waiting, ...]
    unlisted: int
    proposals: int = 0

    @property
    def open_slots(self) -> tuple[SlotView, ...]:
        """The loop's slots; none once it has ended, for they are nobody's then."""
        return self.slots if self.loop.ended_at is None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job that was asked about, with what is to be said of it."""

    job: Job
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who asks: the ledger, the machine that we are on, and when (unix s)."""

    reading: Reading
    here: Here
    now: float


def loops_to_show(asked: Question, study: str | None) -> tuple[LoopView, ...]:
    """Every loop that is open, of `study` alone when it is given; when none is, the newest loop of each study."""
    if study is not None:
        check_study(asked.reading, study)
    wanted = [study] if study is not None else [each.name for each in asked.reading.studies()]
    found = [view for name in wanted for view in _open_loops(asked, name)]
    if not found:
        newest = [loops[-1] for name in wanted if (loops := asked.reading.loops(name))]
        found = [view_of(asked, loop, newest=True) for loop in newest]
    return tuple(found)


def _open_loops(asked: Question, study: str) -> Iterator[LoopView]:
    loops = asked.reading.loops(study)
    unfinished = [loop for loop in loops if loop.ended_at is None]
    if not unfinished and loops and asked.reading.open_jobs(study):
        unfinished = [loops[-1]]  # ended, but a job that it left behind still runs
    for loop in unfinished:
        yield view_of(asked, loop, newest=loop is unfinished[-1])


def view_of(asked: Question, loop: Loop, *, newest: bool) -> LoopView:
    """One loop; `newest` of the study's unfinished ones is the one that is driven, if any is."""
    reading, study = asked.reading, loop.study
    supervisor = reading.supervisor(study)
    snapshot = reading.snapshot(study, loop.number, HEAD)
    nobody = undriven(study, supervisor, asked.here) if newest else f"study {study} goes on with its newest loop first"
    if loop.ended_at is not None:
        nobody = ""
    earlier = tuple(job for job in reading.open_jobs(study) if job.loop != loop.number) if newest else ()
    line = _line(reading, snapshot, earlier, nobody)
    waiting = (Waiting(job=job, cause=waiting_cause(job, at, line, asked.now)) for at, job in enumerate(snapshot.queue))
    return LoopView(
        loop=loop,
        round=snapshot.deepest if loop.flags.get("steady") else snapshot.round,
        supervisor=supervisor,
        standing=standing(supervisor, asked.here),
        undriven=nobody,
        turn="nobody drives the study" if newest else "a newer loop of the study goes first",
        slots=tuple(_slots(asked, line, _holders(line.slots, snapshot.active, earlier))),
        earlier=earlier,
        waiting=tuple(waiting),
        unlisted=snapshot.queued - len(snapshot.queue),
        proposals=snapshot.waiting,
    )


def _line(reading: Reading, snapshot: Snapshot, earlier: Sequence[Job], nobody: str) -> Line:
    """What the loop's queued jobs wait behind. A slot that the ledger has only an attempt of is a slot as well."""
    slots = {slot.index: slot for slot in reading.slots(snapshot.loop)}
    for job in snapshot.active:
        attempt = job.attempts[-1]
        known = slots.get(attempt.slot, SlotState(index=attempt.slot, place="", since=attempt.created_at))
        slots[attempt.slot] = replace(known, cause="")
    states = tuple(slots[index] for index in sorted(slots))
    holders = _holders(states, snapshot.active, earlier)
    return Line(slots=states, holders={index: job.name for index, job in holders.items()}, undriven=nobody)


def _holders(slots: Sequence[SlotState], active: Sequence[Job], earlier: Sequence[Job]) -> dict[int, Job]:
    """Which job holds which slot; one of an earlier loop holds the slot that shares a GPU, or a CPU's number, with it.

    The slot's numbers may have been others then, so that they say nothing where there are GPUs.
    """
    held = {job.attempts[-1].slot: job for job in active}
    for job in earlier:
        old = job.attempts[-1]
        for slot in slots:
            shares = bool(set(slot.gpus) & set(old.gpus)) if slot.gpus else not old.gpus and slot.index == old.slot
            if shares and not slot.cause and slot.index not in held:
                held[slot.index] = job
                break
    return held


def _slots(asked: Question, line: Line, holders: Mapping[int, Job]) -> Iterator[SlotView]:
    for slot in line.slots:
        job = holders.get(slot.index)
        if job is not None:
            yield SlotView(state=slot, job=job, gone=bool(line.undriven) and _gone(job, asked.here))
        else:
            cause = line.undriven or slot.cause or "its job has just ended"
            yield SlotView(state=slot, cause=cause, last=slot.cause if line.undriven else "")


def _gone(job: Job, here: Here) -> bool:
    """Whether the job's keeper certainly lives no more; for an unwatched job whose end nobody has written down."""
    handle = job.attempts[-1].handle
    if handle is None or handle.launcher != "local":
        return False
    found = processes.process(handle.pid) if handle.boot_id == here.boot_id else None
    return found is None or found.ended or found.start_time != handle.start_time


def slots_of_gpu(views: Sequence[LoopView], number: int) -> tuple[tuple[LoopView, SlotView], ...]:
    """The slots, of all the loops, that contain the GPU of that physical number."""
    return tuple((view, slot) for view in views for slot in view.open_slots if number in slot.state.numbers)


def job_asked(reading: Reading, word: str, study: str | None) -> Job | None:
    """The job that a person means by a name or an id; of a name that several loops have, the newest one's."""
    if word.isdecimal() and len(word) < 19:
        by_id = reading.job(JobId(int(word)))
        if by_id is not None and study in (None, by_id.study):
            return by_id
    return reading.job_named(word, study)


def job_view(asked: Question, job: Job) -> JobView:
    """What is to be said of one job."""
    reading = asked.reading
    loop = reading.loop(job.study, job.loop)
    assert loop is not None
    newest = reading.unfinished_loop(job.study)
    view = view_of(asked, loop, newest=newest is None or newest.number == job.loop)
    holders = {slot.state.index: slot.job.name for slot in view.slots if slot.job is not None}
    # What runs is watched by whoever drives the study, whichever of its loops it is of.
    runs = job.state in (JobState.STARTING, JobState.RUNNING)
    nobody = undriven(job.study, view.supervisor, asked.here) if runs else view.undriven
    line = Line(slots=tuple(slot.state for slot in view.slots), holders=holders, undriven=nobody)
    ahead = reading.ahead_of(job) if job.state is JobState.QUEUED else 0
    children = reading.children_of(job) if job.state is JobState.DONE else ()
    gone = runs and bool(nobody) and _gone(job, asked.here)
    told = Asked(job=job, line=line, ahead=ahead, children=children, gone=gone)
    return JobView(job=job, lines=account(told, asked.now))


def no_such(reading: Reading, word: str, study: str | None) -> RefusedError:
    """That there is no job or study called `word`, with the names that are near it."""
    studies = [each.name for each in reading.studies()]
    names = {*studies}
    for name in [study] if study is not None else studies:
        names |= {job for loop in reading.loops(name)[-3:] for job in reading.outcomes(loop.number)}
    near = get_close_matches(word, sorted(names), n=3, cutoff=0.5)
    hint = f"near it: {', '.join(near)}" if near else "`auto-loop why` lists what is open"
    within = f" in study {study}" if study is not None else ""
    return RefusedError(Fault(what=f"there is no job or study called {word}{within}", hint=hint))


def check_study(reading: Reading, study: str) -> None:
    """RefusedError, with the studies that there are, when `study` is none of them."""
    if reading.study(study) is None:
        names = ", ".join(each.name for each in reading.studies())
        hint = f"there: {names}" if names else "the ledger has none"
        raise RefusedError(Fault(what=f"there is no study {study}", where="--study", hint=hint))
