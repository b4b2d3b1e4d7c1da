"""The slots of a loop: which of the free ones take a job now, and why the others are idle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from auto_loop.domain.slot import Blocked, Slot, SlotState
from auto_loop.domain.snapshot import Snapshot
from auto_loop.launch.gate import Pass
from auto_loop.loop.journal import Journal
from auto_loop.loop.occupancy import changed_states, held_by
from auto_loop.loop.parts import Parts
from auto_loop.loop.stage import Stage


class Slots:
    """What a supervisor knows of its slots beside the ledger. What was written counts when `committed` says so."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._states: tuple[SlotState, ...] = ()
        self._short_of_room = False
        self._told: set[tuple[int, bool]] = set()  # the blocked slots that an event tells of, and whether for good
        self._gpu_lost = False  # the others' numbers may have moved up
        self._lost: dict[int, Blocked] = {}  # as of the last look: none is taken while nothing waits

    def room(self) -> str:
        """What keeps jobs from being launched for want of room; said once, and once when it is over."""
        lacking = self._parts.workshop.room()
        if bool(lacking) is not self._short_of_room:
            self._short_of_room = bool(lacking)
            text = f"Nothing is launched: {lacking}" if lacking else "There is room again: the loop goes on."
            self._journal.say("said", None, {"text": text})
        return lacking

    def admit(
        self, free: Iterable[Slot], wanted: int, ours: frozenset[str], passes: dict[int, Pass]
    ) -> dict[int, Blocked]:
        """Which free slots take no job now; `passes` is filled with what the others hold, `wanted` at most.

        One after another, so that no lock is taken that nobody needs. `ours` are the GPUs that the loop's jobs hold.
        """
        blocked: dict[int, Blocked] = {}
        for slot in free:
            if len(passes) == wanted:
                break
            answer = self._parts.workshop.admit((slot,), ours)[slot.index]
            self._lost.pop(slot.index, None)
            if isinstance(answer, Blocked):
                blocked[slot.index] = answer
                self._gpu_lost |= answer.lost
                self._lost |= {slot.index: answer} if answer.lost else {}
            else:
                passes[slot.index] = answer
                ours |= {gpu.uuid for gpu in slot.gpus}
        return blocked

    def named(self, slot: Slot) -> Slot:
        """The slot with its GPUs by UUID once one was lost: the numbers of the others may have moved up."""
        return slot.by_uuid() if self._gpu_lost else slot

    def write(
        self, snapshot: Snapshot, stage: Stage, started: Mapping[int, str], earlier: Sequence[str]
    ) -> tuple[SlotState, ...]:
        """Why slots are idle, kept where it has changed; the states as they are now.

        `started` are the jobs that are launched in this turn, by slot; `earlier` those of earlier loops that go on.
        """
        holders = held_by(snapshot, stage, earlier) | dict(started)
        shown = replace(stage, blocked={**self._lost, **stage.blocked})
        changes, states = changed_states(self._states, snapshot, shown, holders, self._parts.workshop.clock())
        if changes:
            self._parts.ledger.record_slots(self._parts.loop, changes, anew=not self._states)
        for one in changes:
            blocked = stage.blocked.get(one.index)  # of one that only uses more memory nothing new is told
            if blocked is not None and (one.index, blocked.lost) not in self._told:
                self._journal.write("slot blocked", None, {"slot": one.index, "where": one.place, "cause": one.cause})
        return states

    def committed(self, states: tuple[SlotState, ...], blocked: Mapping[int, Blocked]) -> None:
        """The states are durable, and what blocks slots was told."""
        self._states = states
        self._told = {(index, one.lost) for index, one in blocked.items()}
