"""Leases of GPUs: two projects or studies never share one unasked.

A lease is a `flock` on a file per GPU, named by its UUID. A job's keeper inherits the descriptor, so that the lease
lasts as long as the job and no longer, whatever becomes of the supervisor. Jobs of one study may share a GPU: its
first one writes the study into the file while it holds it alone, then all hold it shared. As only who is alone may
write, and who shares keeps others from being alone, the text is true as long as anyone holds the lock.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.slot import Blocked, Gpu
from auto_loop.launch.locks import open_lock

_TRIES = 3  # a lease can change hands between two looks at it
_LONGEST = 1 << 16  # bytes of an owner's text; more is not ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a GPU is: a study of a ledger. `pid` is the supervisor that took it; `since` in unix seconds.

    The study outlives its supervisor, so that only study and ledger decide who is the same.
    """

    study: str
    ledger: str
    pid: int
    since: float

    def shares_with(self, other: "Owner") -> bool:
        """Whether both are one study, perhaps under two supervisors, one after the other."""
        return (self.study, self.ledger) == (other.study, other.ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLease:
    """A GPU that is ours while `descriptor` is open, here or in a keeper. `shared`: another job of ours has it too."""

    descriptor: int
    shared: bool

    def close(self) -> None:
        """Lets go of a lease that no launch took over."""
        os.close(self.descriptor)


def lease_gpus(
    folder: Path, gpus: Sequence[Gpu], owner: Owner, *, skip_held: bool = False
) -> tuple[tuple[Gpu, GpuLease], ...] | Blocked:
    """Leases of all the GPUs, or of none and why: they never wait for each other, so that they cannot lock up.

    With `skip_held` a GPU of somebody else's goes without a lease. OSError and RefusedError when locks cannot be had.
    """
    taken: list[tuple[Gpu, GpuLease]] = []
    try:
        for gpu in sorted(gpus, key=lambda gpu: gpu.uuid):
            lease = lease_gpu(folder, gpu, owner)
            if isinstance(lease, GpuLease):
                taken.append((gpu, lease))
            elif not skip_held:
                close_all(earlier for _, earlier in taken)
                return lease
    except (OSError, RefusedError):
        close_all(lease for _, lease in taken)
        raise
    return tuple(taken)


def lease_gpu(folder: Path, gpu: Gpu, owner: Owner) -> GpuLease | Blocked:
    """One GPU's lease, or who holds it. OSError and RefusedError when its lock file cannot be used."""
    descriptor = open_lock(folder, f"gpu_{gpu.uuid.replace('/', '_')}")
    try:
        other: Owner | None = None
        for _ in range(_TRIES):
            found = _alone(descriptor, owner) or _beside(descriptor, owner)
            if isinstance(found, GpuLease):
                return found
            other = found
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return Blocked(cause=_held_by(gpu, other))


def close_all(leases: Iterable[GpuLease]) -> None:
    """Lets go of leases that no launch took over."""
    for lease in leases:
        lease.close()


def _alone(descriptor: int, owner: Owner) -> GpuLease | None:
    """The lease of a GPU that nobody held, under our name and open to our next jobs; None when somebody holds it."""
    if not _lock(descriptor, fcntl.LOCK_EX):
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(owner)).encode(), 0)
    # From exclusive to shared the kernel lets go first: another may have come between, and written its own name.
    if _lock(descriptor, fcntl.LOCK_SH) and read_owner(descriptor) == owner:
        return GpuLease(descriptor=descriptor, shared=False)
    return None


def _beside(descriptor: int, owner: Owner) -> GpuLease | Owner | None:
    """The lease of a GPU that our study holds already, else its owner, None when that cannot be told."""
    if not _lock(descriptor, fcntl.LOCK_SH):
        return None
    other = read_owner(descriptor)
    if other is not None and other.shares_with(owner):
        return GpuLease(descriptor=descriptor, shared=True)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return other


def _lock(descriptor: int, kind: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def read_owner(descriptor: int) -> Owner | None:
    """Whose name the lock file bears; None when it is empty, torn or nobody's."""
    try:
        found = json.loads(os.pread(descriptor, _LONGEST, 0))
        return Owner(
            study=str(found["study"]),
            ledger=str(found["ledger"]),
            pid=int(found["pid"]),
            since=float(found["since"]),
        )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _held_by(gpu: Gpu, owner: Owner | None) -> str:
    name = gpu.uuid if gpu.is_mig else str(gpu.index)
    if owner is None:
        return f"GPU {name} is held by another project of this user, which has not said its name"
    return f"GPU {name} is held by study {owner.study} of {owner.ledger} since {_clock_time(owner.since)}"


def _clock_time(moment: float) -> str:
    """Local time of day, with the date when it is not today's."""
    try:
        then, today = time.localtime(moment), time.localtime()
    except (OverflowError, OSError, ValueError):
        return "an unknown time"
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)
