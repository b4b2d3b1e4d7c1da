"""Causes: why a slot is idle and why a job waits, in words that can be read without the code. Pure.

The driver keeps the causes of its slots in the ledger, so that `why` can answer whoever asks, supervisor or none.
A cause names times of the clock, never a time that is left: it stays the same text until something changes.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Attempt, Job, Outcome
from auto_loop.domain.slot import Blocked, Slot, SlotState
from auto_loop.domain.snapshot import Snapshot

_VERBS = {Outcome.STOPPED: "was stopped", Outcome.CANCELLED: "was cancelled", Outcome.LOST: "was lost"}
_NAMED = 3  # names in a list before the rest becomes a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the driver sees when it asks why slots are idle.

    `holders` are the names of the jobs that hold slots, by slot, those of earlier loops too. `blocked` is what the gate
    said of free slots. `held_back` says what keeps everything from being launched, empty when nothing does. `zone` is
    the clock's that people look at; None: the machine's. `steady`: no round waits for its last job.
    """

    snapshot: Snapshot
    slots: Sequence[Slot]
    holders: Mapping[int, str]
    blocked: Mapping[int, Blocked]
    held_back: str = ""
    zone: tzinfo | None = None
    steady: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the queued jobs of a loop wait behind, as the ledger has it.

    `undriven` says that nobody drives the loop and what to do next, empty when somebody does.
    """

    slots: Sequence[SlotState]
    holders: Mapping[int, str]
    undriven: str = ""
    zone: tzinfo | None = None


def idle_causes(scene: Scene, now: float) -> dict[int, str]:
    """Why each slot is idle at `now` (unix s), by its index; empty for a slot that a job holds."""
    free = [slot.index for slot in scene.slots if slot.index not in scene.holders]
    open_to_jobs = [index for index in free if index not in scene.blocked]
    causes = dict.fromkeys((slot.index for slot in scene.slots), "")
    for index in free:
        causes[index] = _idle(scene, index, open_to_jobs, now)
    return causes


def _idle(scene: Scene, index: int, open_to_jobs: Sequence[int], now: float) -> str:
    """A GPU that is lost comes first, for nothing else will help it; then what holds every launch back."""
    blocked = scene.blocked.get(index)
    if blocked is not None and (blocked.lost or not scene.held_back):
        return blocked.cause
    if scene.held_back:
        return scene.held_back
    snapshot = scene.snapshot
    if not snapshot.queued:
        return _empty_queue(snapshot, steady=scene.steady)
    ready = [job.name for job in snapshot.queue if job.not_before <= now]
    place = open_to_jobs.index(index)
    if place < len(ready):
        return f"{ready[place]} is being launched"
    if len(ready) or not snapshot.queue:
        return f"{_jobs(snapshot.queued)} queued, and other slots take what may start now"
    return f"every queued job waits for its back-off: {_back_offs(snapshot, now, scene.zone)}"


def _empty_queue(snapshot: Snapshot, *, steady: bool) -> str:
    if snapshot.waiting:  # in the steady state they are taken at once, unless they are a person's to take
        waiting = "1 proposal waits" if snapshot.waiting == 1 else f"{snapshot.waiting} proposals wait"
        return f"no job is queued: {waiting} for a person (`auto-loop review {shlex.quote(snapshot.study)}`)"
    if steady:
        nothing = "no job is queued and no proposal waits"
        if not snapshot.active:
            return f"{nothing}: what follows is being decided"
        return f"{nothing}: what follows is decided after {listed([job.name for job in snapshot.active])}"
    if snapshot.active:
        waits = listed([job.name for job in snapshot.active])
        return f"no job is queued: the end of round {snapshot.round} waits for {waits}"
    return f"no job is queued: round {snapshot.round} is over, and what follows is being decided"


def _back_offs(snapshot: Snapshot, now: float, zone: tzinfo | None) -> str:
    shown = [f"{job.name} until {time_text(job.not_before, now, zone)}" for job in snapshot.queue[:_NAMED]]
    first = snapshot.queue[0].last_attempt
    why = f" (attempt {first.number} {ended(first)})" if first is not None and len(shown) == 1 else ""
    more = snapshot.queued - len(shown)
    return f"{', '.join(shown)}{why}{f', and {more} more' if more else ''}"


def waiting_cause(job: Job, ahead: int, line: Line, now: float) -> str:
    """Why a queued job has not started at `now` (unix s); `ahead` queued jobs go before it."""
    if line.undriven:
        return line.undriven
    if job.not_before > now:
        return _back_off(job, now, line.zone)
    if not line.slots:
        return "no slot is open yet: the supervisor is just starting"
    order = "it is next" if ahead == 0 else f"{_jobs(ahead)} ahead of it"
    idle = [slot for slot in line.slots if slot.cause]
    held = [f"{slot_text(slot)} by {line.holders.get(slot.index, 'a job')}" for slot in line.slots if not slot.cause]
    if not idle:
        return f"{order}; {'the only slot is' if len(held) == 1 else 'every slot is'} held: {listed(held)}"
    return "; ".join([order, *(f"{text} idle: {cause}" for text, cause in _by_cause(idle))])


def _back_off(job: Job, now: float, zone: tzinfo | None) -> str:
    last = job.last_attempt
    after = f": attempt {last.number} {ended(last)}" if last is not None else ""
    return f"it is tried again at {time_text(job.not_before, now, zone)}{after}"


def _by_cause(idle: Iterable[SlotState]) -> list[tuple[str, str]]:
    """Slots that are idle for one reason, in one breath."""
    found: dict[str, list[str]] = {}
    for slot in idle:
        found.setdefault(slot.cause, []).append(slot_text(slot))
    return [(f"{listed(names)} {'is' if len(names) == 1 else 'are'}", cause) for cause, names in found.items()]


def ended(attempt: Attempt) -> str:
    """How an attempt ended, as the rest of a sentence: `failed (out of memory): RuntimeError: ...`."""
    if attempt.outcome is None:
        return "has not ended"
    if attempt.outcome is Outcome.STOPPED and attempt.cause.startswith("stopped"):
        return f"was {attempt.cause}"
    verb = _VERBS.get(attempt.outcome, attempt.outcome)
    kind = f" ({attempt.failure})" if attempt.failure not in (None, Failure.LOST) else ""
    return f"{verb}{kind}{f': {attempt.cause}' if attempt.cause else ''}"


def slot_text(slot: SlotState) -> str:
    """A slot as people know it: by its GPUs, and on the CPU by its number."""
    return f"slot {slot.index} ({slot.place})" if slot.numbers or slot.gpus else f"slot {slot.index}"


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """`a, b and c`; of many the first `most` and how many more there are."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def time_text(at: float, now: float, zone: tzinfo | None) -> str:
    """The time of day, with the date when that is not today's."""
    there, here = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    return f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M:%S}"


def _jobs(number: int) -> str:
    return "1 job is" if number == 1 else f"{number} jobs are"
