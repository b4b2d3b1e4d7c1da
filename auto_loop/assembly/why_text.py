"""What `why` found, as text for people and as JSON for programs."""

import shlex
from collections.abc import Iterator, Sequence

from auto_loop.assembly.supervisors import Standing
from auto_loop.assembly.why import JobView, LoopView, SlotView, Waiting, slots_of_gpu
from auto_loop.domain.config import Json
from auto_loop.domain.job import Job
from auto_loop.loop.causes import listed, slot_text, time_text

_NAMES = 8  # of jobs that wait in one line


def loops_text(views: Sequence[LoopView], now: float) -> str:
    """Each loop with who drives it, its slots and its waiting jobs."""
    if not views:
        return "The ledger has no loop yet."
    return "\n\n".join("\n".join(_loop_lines(view, now)) for view in views)


def gpu_text(views: Sequence[LoopView], number: int, now: float) -> str:
    """The slots that the GPU is in; that no loop uses it, and which GPUs are used, when there are none."""
    found = slots_of_gpu(views, number)
    if found:
        return "\n".join(
            f"GPU {number}, study {view.loop.study}: {_slot_line(view, slot, now, whole=True)}" for view, slot in found
        )
    used = sorted({str(one) for view in views for slot in view.open_slots for one in slot.state.numbers}, key=int)
    theirs = f"open loops use {'GPU' if len(used) == 1 else 'GPUs'} {listed(used, _NAMES)}" if used else "none uses any"
    return f"No open loop uses GPU {number}: {theirs}."


def job_text(view: JobView) -> str:
    """A job, where it is to be found, and what is to be said of it."""
    job = view.job
    head = f"{job.name} (job {job.id} of study {job.study}, loop {job.loop}, round {job.round})"
    return "\n".join([head, *(f"  {line}." for line in view.lines)])


def _loop_lines(view: LoopView, now: float) -> Iterator[str]:
    yield f"Study {view.loop.study}, loop {view.loop.number}, round {view.round}: {_driven(view, now)}"
    width = max((len(slot_text(slot.state)) for slot in view.open_slots), default=0)
    for slot in view.open_slots:
        yield f"  {_slot_line(view, slot, now, width)}"
    holding = {slot.job.id for slot in view.open_slots if slot.job is not None}
    for job in view.earlier:
        if job.id not in holding:
            yield f"  {job.name} of loop {job.loop} still runs, since {_since(job, now)}"
    yield from _waiting_lines(view, now)


def _driven(view: LoopView, now: float) -> str:
    if view.loop.ended_at is not None:
        return f"the loop ended at {time_text(view.loop.ended_at, now, None)}: {view.loop.end_reason}"
    who = view.supervisor
    if view.undriven or who is None:
        return view.undriven
    host = f" on {who.host}, if it lives" if view.standing is Standing.ELSEWHERE else ""
    return f"driven by process {who.pid}{host}, since {time_text(who.since, now, None)}"


def _slot_line(view: LoopView, slot: SlotView, now: float, width: int = 0, *, whole: bool = False) -> str:
    """`whole`: what the loop's own line would say is said here, for no such line stands above."""
    name = f"{slot_text(slot.state):<{width}}"
    if slot.job is None:
        cause = view.turn if view.undriven and not whole else slot.cause
        since = f" since {time_text(slot.state.since, now, None)}" if slot.state.since and not view.undriven else ""
        at = f" at {time_text(slot.state.since, now, None)}" if slot.state.since else ""
        last = f" (last known{at}: {slot.last})" if slot.last else ""
        return f"{name}  idle{since}: {cause}{last}"
    text = f"{name}  {slot.job.name}, since {_since(slot.job, now)}"
    stop = slot.job.attempts[-1].stop
    if slot.gone:
        return f"{text}; its process is gone, and how it ended is read when somebody drives the study"
    return f"{text}; asked to stop at {time_text(stop.at, now, None)}: {stop.text}" if stop is not None else text


def _waiting_lines(view: LoopView, now: float) -> Iterator[str]:
    """The first job's cause whole, those behind it in one line, and each back-off on its own; then proposals."""
    yield from _job_lines(view, now)
    if view.proposals:
        number = "1 proposal waits" if view.proposals == 1 else f"{view.proposals} proposals wait"
        if view.loop.flags.get("review"):
            yield f"  {number} for a person: `auto-loop review {shlex.quote(view.loop.study)}`"
        else:
            yield f"  {number} for a free slot"


def _job_lines(view: LoopView, now: float) -> Iterator[str]:
    ready = [one for one in view.waiting if one.job.not_before <= now]
    backing_off = [one for one in view.waiting if one.job.not_before > now]
    if view.undriven and view.waiting:
        yield f"  {_number(view)}, as {view.turn}: {_names(view.waiting, view.unlisted)}"
        return
    if ready:
        yield f"  {ready[0].job.name} waits: {ready[0].cause}"
    if len(ready) > 1:
        yield f"  behind it, in this order: {_names(ready[1:], 0 if backing_off else view.unlisted)}"
    for one in backing_off[:_NAMES]:
        yield f"  {one.job.name} waits: {one.cause}"
    if left := len(backing_off[_NAMES:]) + (view.unlisted if backing_off else 0):
        yield f"  and {left} more"


def _number(view: LoopView) -> str:
    number = len(view.waiting) + view.unlisted
    return "1 job waits" if number == 1 else f"{number} jobs wait"


def _names(waiting: Sequence[Waiting], unlisted: int) -> str:
    names = [one.job.name for one in waiting]
    if not unlisted:
        return listed(names, _NAMES)
    shown = names[:_NAMES]
    return f"{', '.join(shown)} and {len(names) - len(shown) + unlisted} more"


def _since(job: Job, now: float) -> str:
    attempt = job.attempts[-1]
    return time_text(attempt.started_at or attempt.created_at, now, None)


def loops_json(views: Sequence[LoopView]) -> dict[str, Json]:
    """`{"studies": [...]}`, one entry a loop; times are unix seconds."""
    return {"studies": [_loop_json(view) for view in views]}


def gpu_json(views: Sequence[LoopView], number: int) -> dict[str, Json]:
    """The GPU, and the slots of open loops that it is in."""
    found = slots_of_gpu(views, number)
    slots: list[Json] = [{"study": v.loop.study, "loop": v.loop.number, **_slot_json(slot)} for v, slot in found]
    return {"gpu": number, "slots": slots}


def job_json(view: JobView) -> dict[str, Json]:
    """The job and what is to be said of it, the most telling line first."""
    job = view.job
    return {
        "job": job.name,
        "id": job.id,
        "study": job.study,
        "loop": job.loop,
        "round": job.round,
        "state": job.state.value,
        "outcome": job.outcome.value if job.outcome is not None else None,
        "cause": view.lines[0],
        "more": list(view.lines[1:]),
    }


def _loop_json(view: LoopView) -> dict[str, Json]:
    who = view.supervisor
    driven = who is not None and not view.undriven and view.loop.ended_at is None
    by: dict[str, Json] | None = {"host": who.host, "pid": who.pid, "since": who.since} if who and driven else None
    return {
        "study": view.loop.study,
        "loop": view.loop.number,
        "round": view.round,
        "driven_by": by,
        "undriven": view.undriven,
        "supervisor": view.standing.value,
        "ended": view.loop.end_reason or None,
        "slots": [_slot_json(slot) for slot in view.open_slots],
        "waiting": [{"job": one.job.name, "id": one.job.id, "cause": one.cause} for one in view.waiting],
        "unlisted": view.unlisted,
        "proposals": view.proposals,
        "earlier": [{"job": job.name, "id": job.id, "loop": job.loop} for job in view.earlier],
    }


def _slot_json(slot: SlotView) -> dict[str, Json]:
    return {
        "slot": slot.state.index,
        "place": slot.state.place,
        "gpus": list(slot.state.numbers),
        "job": slot.job.name if slot.job is not None else None,
        "id": slot.job.id if slot.job is not None else None,
        "cause": slot.cause,
        "last_cause": slot.last,
        "since": slot.state.since,
    }
