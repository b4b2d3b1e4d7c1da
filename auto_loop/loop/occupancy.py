"""Who holds which slot, and why the others are idle, as the ledger keeps it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from auto_loop.domain.slot import Slot, SlotState
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.actions import Intent
from auto_loop.loop.causes import Scene, idle_causes
from auto_loop.loop.plan import free_slots
from auto_loop.loop.stage import Stage

_INTENTS = {
    Intent.RUN: "",
    Intent.DRAIN: "nothing more is launched, as was asked (Ctrl-C, or `auto-loop stop --drain`)",
    Intent.STOP: "the study is being stopped, as was asked",
    Intent.KILL: "the study is being stopped, as was asked",
    Intent.LEAVE: "the supervisor was asked to leave",
}


def held_by(snapshot: Snapshot, stage: Stage, earlier: Sequence[str]) -> dict[int, str]:
    """The names of the jobs that hold slots, by slot; `earlier` are the jobs of earlier loops that still run."""
    active = [job.attempts[-1] for job in snapshot.active]
    names = {job.attempts[-1].slot: job.name for job in snapshot.active}
    free = {slot.index for slot in free_slots(stage.slots, active, stage.adopted)}
    others = ", ".join(earlier) or ", ".join(names.values())
    return {slot.index: names.get(slot.index, others) for slot in stage.slots if slot.index not in free}


def changed_states(
    before: Sequence[SlotState], snapshot: Snapshot, stage: Stage, holders: Mapping[int, str], now: float
) -> tuple[tuple[SlotState, ...], tuple[SlotState, ...]]:
    """The slots whose state is another than `before`, and all of them as they are now."""
    held_back = stage.over or _INTENTS[stage.intent] or stage.held_back
    scene = Scene(
        snapshot=snapshot,
        slots=stage.slots,
        holders=holders,
        blocked=stage.blocked,
        held_back=held_back,
        steady=stage.steady,
    )
    causes = idle_causes(scene, now)
    known = {state.index: state for state in before}
    states = tuple(
        replace(known.get(slot.index, _unknown(slot)), cause=causes[slot.index], since=now)
        if slot.index not in known or known[slot.index].cause != causes[slot.index]
        else known[slot.index]
        for slot in stage.slots
    )
    return tuple(state for state in states if known.get(state.index) != state), states


def _unknown(slot: Slot) -> SlotState:
    return SlotState(
        index=slot.index,
        place=slot.place,
        gpus=tuple(gpu.uuid for gpu in slot.gpus),
        numbers=tuple(gpu.index for gpu in slot.gpus),
    )
