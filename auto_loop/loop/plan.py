"""The plan: from what is open to what is to be done next. Pure; a fake clock tests it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auto_loop.domain.job import Attempt, AttemptId, Job
from auto_loop.domain.slot import Slot
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.actions import Action, EndRound, Intent, Launch, Leave, Terminate


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """Which attempts were asked to stop (unix s, by attempt), which were killed, and the grace in seconds."""

    asked: Mapping[AttemptId, float] = field(default_factory=dict)
    killed: frozenset[AttemptId] = frozenset()
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a plan is made on: the slots, what the person wants, and the stops so far.

    `adopted` are attempts of the study's earlier loops that still run: they keep what they hold until they end.
    """

    slots: Sequence[Slot]
    intent: Intent = Intent.RUN
    stops: Stops = Stops()
    adopted: Sequence[Attempt] = ()


def plan(snapshot: Snapshot, stage: Stage, now: float) -> tuple[Action, ...]:
    """What to do at `now`: launches on free slots, stops that are due, or the round's end.

    A freed slot takes the next queued job, whatever its number: GPUs follow the slot. Nothing is planned while jobs
    train and no slot is free.
    """
    intent, stops = stage.intent, stage.stops
    if intent is Intent.LEAVE:
        return (Leave(reason="the supervisor was asked to leave; its jobs train on"),)
    open_attempts = [job.attempts[-1] for job in snapshot.active]
    if intent is Intent.RUN:
        launches = _launches(snapshot.queue, free_slots(stage.slots, open_attempts, stage.adopted))
        if launches or snapshot.active:
            return launches
        return () if snapshot.queued else (EndRound(round=snapshot.round),)
    if not open_attempts:
        return (Leave(reason="interrupted"),) if snapshot.queued else (EndRound(round=snapshot.round),)
    return _terminations(open_attempts, stops, now) if intent is Intent.STOP else ()


def free_slots(
    slots: Sequence[Slot], open_attempts: Sequence[Attempt], adopted: Sequence[Attempt] = ()
) -> tuple[Slot, ...]:
    """The slots that no open attempt holds, in their order.

    An attempt of an earlier loop may have had other slots: it holds the first one that shares a GPU with it, or on
    the CPU the one of its number.
    """
    held = {attempt.slot for attempt in open_attempts}
    for attempt in adopted:
        taken = next((slot.index for slot in slots if slot.index not in held and _overlaps(slot, attempt)), None)
        if taken is not None:
            held.add(taken)
    return tuple(slot for slot in slots if slot.index not in held)


def _overlaps(slot: Slot, attempt: Attempt) -> bool:
    if not slot.gpus:
        return not attempt.gpus and slot.index == attempt.slot
    return any(gpu.uuid in attempt.gpus for gpu in slot.gpus)


def _launches(queue: Sequence[Job], free: Sequence[Slot]) -> tuple[Action, ...]:
    return tuple(Launch(job=job, slot=slot) for job, slot in zip(queue, free, strict=False))


def _terminations(attempts: Sequence[Attempt], stops: Stops, now: float) -> tuple[Action, ...]:
    """SIGTERM to those not asked yet, SIGKILL to those whose grace is over and that were not killed yet."""
    actions: list[Action] = []
    for attempt in attempts:
        asked = stops.asked.get(attempt.id)
        if asked is None:
            actions.append(Terminate(attempt=attempt, kill=False))
        elif asked + stops.grace_s < now and attempt.id not in stops.killed:
            actions.append(Terminate(attempt=attempt, kill=True))
    return tuple(actions)
