"""The gate of the slots: which free ones may take a job now, and the locks that the job will hold.

A slot passes when its GPUs are leased to us, are there, and are used by nobody else. What stops one is a cause in
words, never an error: the loop goes on with the other slots and asks again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.slot import Blocked, Gpu, Slot
from auto_loop.launch.gpu_leases import GpuLease, Owner, close_all, lease_gpus
from auto_loop.launch.gpu_survey import Look, Survey, judge
from auto_loop.launch.ports import PortLease, lease_port

ASK_AGAIN_S = 1.0
ASK_LOST_AGAIN_S = 30.0  # each look at a lost GPU opens NVML anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A slot may take a job: the locks to hand to its keeper, and the port that its processes meet on."""

    held: tuple[int, ...] = ()
    port: int | None = None

    def close(self) -> None:
        """Lets go of what no launch took over. Never after a launch: the numbers may be others' by then."""
        for descriptor in self.held:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found of a GPU that may take no job, and when it is worth asking again."""

    blocked: Blocked
    good_until: float


class Gate:
    """Admits free slots. `owner` is written into each GPU's lease (its `since` as of then).

    `allow_busy` lets jobs onto GPUs that others compute on or hold; never onto a lost one. `clock` gives unix seconds.
    """

    def __init__(
        self,
        *,
        folder: Path,
        owner: Owner,
        allow_busy: bool,
        survey: Survey,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._owner = owner
        self._allow_busy = allow_busy
        self._survey = survey
        self._clock = clock
        self._verdicts: dict[str, _Verdict] = {}

    def admit(self, slots: Sequence[Slot], ours: frozenset[str]) -> dict[int, Pass | Blocked]:
        """For each free slot its pass, or why it takes no job now; by slot number.

        `ours` are the UUIDs that attempts hold, those of earlier loops included. NVML is asked once a GPU at most.
        """
        looks: dict[str, Look] = {}
        return {slot.index: self._admit(slot, ours, looks) for slot in slots}

    def _admit(self, slot: Slot, ours: frozenset[str], looks: dict[str, Look]) -> Pass | Blocked:
        if not slot.gpus:
            return Pass()
        recent = self._recent(slot)
        if recent is not None:
            return recent
        leases = self._lease(slot)
        if isinstance(leases, Blocked):
            return leases
        # Of a job that the caller does not know of, or let in a moment ago, the lease tells.
        shared = {gpu.uuid for gpu, lease in leases if lease.shared}
        blocked = self._judge(slot, ours | shared, looks)
        port = self._port(slot) if blocked is None else blocked
        if isinstance(port, Blocked):
            close_all(lease for _, lease in leases)
            return port
        held = [lease.descriptor for _, lease in leases]
        if port is None:
            return Pass(held=tuple(held))
        return Pass(held=(*held, port.descriptor), port=port.port)

    def _recent(self, slot: Slot) -> Blocked | None:
        """What was found of the slot's GPUs so lately that NVML is not asked again."""
        now = self._clock()
        for gpu in slot.gpus:
            verdict = self._verdicts.get(gpu.uuid)
            if verdict is not None and now < verdict.good_until:
                return verdict.blocked
        return None

    def _lease(self, slot: Slot) -> tuple[tuple[Gpu, GpuLease], ...] | Blocked:
        owner = replace(self._owner, since=self._clock())
        try:
            return lease_gpus(self._folder, slot.gpus, owner, skip_held=self._allow_busy)
        except RefusedError as error:
            return Blocked(cause=str(error))
        except OSError as error:
            return Blocked(cause=f"the GPU's lock cannot be taken: {error}")

    def _port(self, slot: Slot) -> PortLease | Blocked | None:
        """The port of a job of several processes; None when the slot needs none."""
        if len(slot.gpus) < 2:
            return None
        try:
            return lease_port(self._folder)
        except RefusedError as error:
            return Blocked(cause=str(error))
        except OSError as error:
            return Blocked(cause=f"no port can be leased: {error}")

    def _judge(self, slot: Slot, held: frozenset[str], looks: dict[str, Look]) -> Blocked | None:
        """Why the slot's GPUs take no job."""
        for gpu in slot.gpus:
            if gpu.uuid not in looks:
                reopen = not any(look.lost for look in looks.values())
                looks[gpu.uuid] = self._survey.look(gpu.uuid, reopen=reopen)
            blocked = judge(gpu, looks[gpu.uuid], held=gpu.uuid in held)
            if blocked is None or (self._allow_busy and not blocked.lost):
                continue
            wait = ASK_LOST_AGAIN_S if blocked.lost else ASK_AGAIN_S
            self._verdicts[gpu.uuid] = _Verdict(blocked, self._clock() + wait)
            return blocked
        return None
