"""The plan: from what is open to what is to be done next. Pure; a fake clock tests it."""

from collections.abc import Sequence

from auto_loop.domain.job import Attempt, Job, JobId
from auto_loop.domain.slot import Slot
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.actions import Action, EndRound, Intent, Launch, Leave, Stop, Terminate
from auto_loop.loop.stage import Stage
from auto_loop.loop.stops import answers, due_stops, due_warnings


def plan(snapshot: Snapshot, stage: Stage, now: float) -> tuple[Action, ...]:
    """What to do at `now`: launches on free slots, stops that are due, answers, or the round's end.

    A freed slot takes the next queued job, whatever its number: GPUs follow the slot. Nothing is planned while jobs
    train and no slot is free.
    """
    if stage.intent is Intent.LEAVE:
        return (Leave(reason="the supervisor was asked to leave; its jobs train on"),)
    attempts = (*(job.attempts[-1] for job in snapshot.active), *stage.adopted)
    stops = due_stops(attempts, stage, now)
    cancels, replies = answers(stage.asked, attempts, stage.grace_s)
    warnings = due_warnings(attempts, stage)
    actions: tuple[Action, ...] = (*stops, *_signals(attempts, stops, stage, now), *warnings, *cancels, *replies)
    if stage.intent is not Intent.RUN or stage.over:
        return actions if attempts else (*actions, _last(snapshot, stage))
    actions += _launches(snapshot, stage, frozenset(one.job.id for one in cancels), now)
    if actions or _round_goes_on(snapshot, stage):
        return actions
    if snapshot.queued if stage.steady else snapshot.queued_in_round:
        return () if snapshot.active else _given_up(snapshot, stage, attempts)
    return () if snapshot.waiting else (EndRound(round=snapshot.round),)


def _round_goes_on(snapshot: Snapshot, stage: Stage) -> bool:
    """Whether a job of the round that the loop is in runs: forks of later ones do not keep it open.

    In the steady state there are no rounds, and every job counts.
    """
    return any(stage.steady or job.round <= snapshot.round for job in snapshot.active)


def _last(snapshot: Snapshot, stage: Stage) -> Action:
    """What a loop does that launches nothing more and of which nothing runs."""
    left = snapshot.queued or snapshot.waiting
    if left or stage.over or stage.intent is not Intent.DRAIN:  # a stopped round is decided when resumed
        return Leave(reason=stage.over or "interrupted")
    return EndRound(round=snapshot.round)


def _given_up(snapshot: Snapshot, stage: Stage, attempts: Sequence[Attempt]) -> tuple[Action, ...]:
    """Leaving a loop none of whose GPUs answers any more: they will not come back by waiting."""
    free = free_slots(stage.slots, (), stage.adopted)
    lost = [
        stage.blocked[slot.index] for slot in free if slot.index in stage.blocked and stage.blocked[slot.index].lost
    ]
    if attempts or not lost or len(lost) < len(free):
        return ()
    return (Leave(reason=f"no GPU is left: {lost[0].cause}"),)


def free_slots(
    slots: Sequence[Slot], open_attempts: Sequence[Attempt], adopted: Sequence[Attempt] = ()
) -> tuple[Slot, ...]:
    """The slots that no open attempt holds, in their order.

    An attempt holds its slot by its number and, should the slots have been made anew since (a GPU is gone, another
    loop's slots), for each of its GPUs one slot with that GPU. Of another loop's attempts the number means something
    on the CPU only.
    """
    known = {slot.index: slot for slot in slots}
    held = {attempt.slot for attempt in open_attempts}
    for attempt in open_attempts:
        own = known.get(attempt.slot)
        held |= _overlaps(attempt, frozenset(gpu.uuid for gpu in own.gpus) if own else frozenset(), slots, held)
    for attempt in adopted:
        if not attempt.gpus and attempt.slot in known and not known[attempt.slot].gpus:
            held.add(attempt.slot)
        held |= _overlaps(attempt, frozenset(), slots, held)
    return tuple(slot for slot in slots if slot.index not in held)


def _overlaps(attempt: Attempt, covered: frozenset[str], slots: Sequence[Slot], held: set[int]) -> set[int]:
    """The slots that an attempt holds by its GPUs that are not yet `covered`, one for each."""
    found: set[int] = set()
    for uuid in attempt.gpus:
        if uuid in covered:
            continue
        taken = next((s for s in slots if s.index not in held | found and any(g.uuid == uuid for g in s.gpus)), None)
        if taken is not None:
            found.add(taken.index)
            covered |= {gpu.uuid for gpu in taken.gpus}
    return found


def due(queue: Sequence[Job], now: float) -> tuple[Job, ...]:
    """The queued jobs whose back-off is over."""
    return tuple(job for job in queue if job.not_before <= now)


def _launches(snapshot: Snapshot, stage: Stage, cancelled: frozenset[JobId], now: float) -> tuple[Action, ...]:
    if stage.held_back:
        return ()
    free = free_slots(stage.slots, [job.attempts[-1] for job in snapshot.active], stage.adopted)
    open_slots = [slot for slot in free if slot.index not in stage.blocked]
    training = frozenset(job.id for job in snapshot.active)  # what starts from its last checkpoint waits for that
    jobs = [job for job in due(snapshot.queue, now) if job.id not in cancelled and job.warm_from not in training]
    return tuple(Launch(job=job, slot=slot) for job, slot in zip(jobs, open_slots, strict=False))


def _signals(attempts: Sequence[Attempt], stops: Sequence[Stop], stage: Stage, now: float) -> tuple[Terminate, ...]:
    """SIGTERM to those that are to stop and were not asked yet, SIGKILL to those whose grace is over."""
    fresh = {one.attempt.id: one.stop for one in stops}
    found: list[Terminate] = []
    for attempt in attempts:
        stop = fresh.get(attempt.id, attempt.stop)
        if stop is None or attempt.id in stage.killed:
            continue
        over = stop.at + stop.grace_s <= now
        if over or not (stop.sent or attempt.id in stage.signalled):
            found.append(Terminate(attempt=attempt, kill=over))
    return tuple(found)
