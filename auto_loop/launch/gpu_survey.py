"""What NVML says of GPUs while a loop runs: whether each is still there, and who computes on it.

NVML is opened once and stays open: opening takes tenths of a second, and an open one keeps the driver awake. What it
says is a value (`Look`); what follows from it is decided by `judge`, which asks nothing.
"""

import contextlib
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from auto_loop.domain.slot import Blocked, Gpu
from auto_loop.launch import gpus, processes

BUSY_BYTES = 256 << 20  # a driver keeps some for itself; a CUDA context alone takes more than this
_FIRST_NAMESPACE = "pid:[4026531836]"  # the number that Linux gives to the first namespace of pids
_MPS_SERVER = "nvidia-cuda-mps"  # computes for its clients, which NVML names by themselves
_LONGEST_DESCENT = 64
_MOST_BYTES = 1 << 60  # NVML's way to say that it does not know

# Errors that say that the GPU, or the driver itself, is gone; all others only that NVML cannot tell.
_GONE = frozenset(
    f"NVMLError_{name}"
    for name in (
        "GpuIsLost",
        "GpuNotFound",
        "ResetRequired",
        "Unknown",
        "Uninitialized",
        "DriverNotLoaded",
        "LibRmVersionMismatch",
        "IrqIssue",
    )
)

_PROCESSES = tuple(f"nvmlDeviceGetComputeRunningProcesses{version}" for version in ("_v3", "_v2", ""))
_MPS_PROCESSES = tuple(f"nvmlDeviceGetMPSComputeRunningProcesses{version}" for version in ("_v3", "_v2", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """A process that computes on a GPU. `memory` in bytes, None when untold; `ours`: of a job of this user's loops."""

    pid: int
    program: str
    user: str
    memory: int | None
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What NVML says of one GPU. `lost` says why it does not answer.

    `processes` is None where they cannot be matched with the processes seen here; then `memory_used` (bytes) tells,
    None when NVML does not.
    """

    lost: str = ""
    processes: tuple[Compute, ...] | None = None
    memory_used: int | None = None


def judge(gpu: Gpu, look: Look, *, held: bool) -> Blocked | None:
    """Why the GPU may take no job of ours; None when it may. `held`: a job of ours has it already, so that it shares.

    On a GPU that no job of ours holds, a process with our token blocks as well: its keeper was killed, and with it
    went the lease.
    """
    name = gpu.uuid if gpu.is_mig else str(gpu.index)
    if look.lost:
        return Blocked(cause=f"GPU {name} does not answer: {look.lost}", lost=True)
    if look.processes is not None:
        strangers = [one for one in look.processes if not (one.ours and held)]
        return Blocked(cause=f"GPU {name} is used by {_told(strangers)}") if strangers else None
    if held or look.memory_used is None or look.memory_used <= BUSY_BYTES:
        return None
    return Blocked(cause=f"GPU {name} has {_size(look.memory_used)} in use by processes that cannot be seen from here")


def _told(strangers: list[Compute]) -> str:
    one = max(strangers, key=lambda one: one.memory or 0)
    memory = f", {_size(one.memory)}" if one.memory is not None else ""
    job = ", a job that no loop keeps any more or another study's" if one.ours else ""
    more = f", and {len(strangers) - 1} more" if len(strangers) > 1 else ""
    return f"process {one.pid} ({one.program} of {one.user}{memory}{job}){more}"


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"


class Survey:
    """Looks at GPUs through one NVML that stays open. One instance serves one supervisor, from one thread.

    `pids_match`: NVML's pids are those seen here (not so in a container). `is_ours` says of a pid whether it belongs to
    a job of any loop of this user.
    """

    def __init__(
        self,
        nvml_module: str = "pynvml",
        *,
        pids_match: bool | None = None,
        is_ours: Callable[[int], bool] | None = None,
    ) -> None:
        self._module = nvml_module
        self._pids_match = in_first_namespace() if pids_match is None else pids_match
        self._is_ours = is_ours or of_a_job
        self._nvml: Any = None
        self._trouble = ""
        self._count = 0
        self._handles: dict[str, Any] = {}

    def look(self, uuid: str, *, reopen: bool = True) -> Look:
        """What NVML says of the GPU now. After an error NVML is opened anew, once, before the GPU is called lost.

        Without `reopen` it is not: right after a look that has just done so.
        """
        cause = "NVML does not list it any more"
        if self._nvml is not None:
            try:
                if uuid in self._handles and self._nvml.nvmlDeviceGetCount() == self._count:
                    return self._look(uuid)
            except self._nvml.NVMLError as error:
                cause = str(error)
        if reopen:
            self._trouble = self._open()
        if self._trouble or uuid not in self._handles:
            return Look(lost=self._trouble or cause)
        try:
            return self._look(uuid)
        except self._nvml.NVMLError as error:
            return Look(lost=str(error)) if _name(error) in _GONE else Look()

    def close(self) -> None:
        """Lets go of NVML; the next look opens it again."""
        nvml, self._nvml, self._handles, self._trouble = self._nvml, None, {}, ""
        if nvml is not None:
            with contextlib.suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def _open(self) -> str:
        """Opens NVML anew and lists its GPUs; says why that failed, nothing when it did not."""
        self.close()
        try:
            nvml = import_module(self._module)
        except (ImportError, OSError) as error:
            return str(error)
        try:
            nvml.nvmlInit()
            self._nvml = nvml
            self._count = nvml.nvmlDeviceGetCount()
            for _, handle in gpus.devices(nvml):
                with contextlib.suppress(nvml.NVMLError):
                    self._handles[gpus.uuid_of(nvml, handle)] = handle
        except (nvml.NVMLError, OSError) as error:
            self.close()
            return str(error)
        return ""

    def _look(self, uuid: str) -> Look:
        handle = self._handles[uuid]
        gpus.uuid_of(self._nvml, handle)  # a handle that has outlived its GPU fails here, not in what may be unknown
        found = self._ask(_PROCESSES, handle)
        if not self._pids_match or found is None:
            return Look(memory_used=self._memory(handle))
        # Each list shows some clients of an MPS server only.
        by_pid = {one.pid: one for one in (*found, *(self._ask(_MPS_PROCESSES, handle) or ()))}
        known = (self._compute(one) for one in by_pid.values())
        return Look(processes=tuple(one for one in known if one is not None))

    def _memory(self, handle: Any) -> int | None:
        """Bytes in use, without what the driver reserves where NVML can tell them apart."""
        version = getattr(self._nvml, "nvmlMemory_v2", None)
        memory = self._ask(("nvmlDeviceGetMemoryInfo",), handle, version) if version else None
        memory = memory or self._ask(("nvmlDeviceGetMemoryInfo",), handle)
        return None if memory is None else int(memory.used)

    def _ask(self, names: tuple[str, ...], *arguments: Any) -> Any:
        """The first answer that one of the functions gives; None when this GPU or driver knows none of them."""
        for name in names:
            function = getattr(self._nvml, name, None)
            if function is None:
                continue
            try:
                return function(*arguments)
            except self._nvml.NVMLError as error:
                if _name(error) in _GONE:
                    raise
        return None

    def _compute(self, told: Any) -> Compute | None:
        """The process that NVML named; None when it has ended meanwhile, or works for others by name."""
        pid = int(told.pid)
        if _is_gone(pid):
            return None
        program = _program(pid)
        if program == _MPS_SERVER:
            return None
        memory = told.usedGpuMemory
        if memory is None or memory > _MOST_BYTES:
            memory = None
        return Compute(pid=pid, program=program, user=_user(pid), memory=memory, ours=self._is_ours(pid))


def in_first_namespace() -> bool:
    """Whether the pids seen here are the machine's own, those that NVML shows; False in a container."""
    try:
        return os.readlink("/proc/self/ns/pid") == _FIRST_NAMESPACE
    except OSError:
        return False


def of_a_job(pid: int) -> bool:
    """Whether a process, or one that it descends from, carries an attempt's token, of whichever loop."""
    for _ in range(_LONGEST_DESCENT):
        if _has_token(pid):
            return True
        one = _process(pid)
        if one is None or one.parent <= 1:
            return False
        pid = one.parent
    return False


def _has_token(pid: int) -> bool:
    with contextlib.suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return any(entry.startswith(b"AUTO_LOOP_TOKEN=") for entry in environment.split(b"\0"))
    return False


def _is_gone(pid: int) -> bool:
    """Whether it has ended: NVML's list can lag, and /proc may hide what other users run."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    one = _process(pid)
    return one is not None and one.ended


def _process(pid: int) -> processes.Process | None:
    with contextlib.suppress(OSError):  # /proc can hide it
        return processes.process(pid)
    return None


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return "a program"


def _user(pid: int) -> str:
    try:
        number = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return "another user"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _name(error: BaseException) -> str:
    return type(error).__name__
