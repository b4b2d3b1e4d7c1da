"""A fake NVML with the names of nvidia-ml-py: a machine of GPUs, given as plain data.

In one process: fill `BOARDS` and pass "tests.fakes.nvml" as the name of the module. `reset()` empties the machine.

In a subprocess, so that a real supervisor sees GPUs that a test changes while it runs: put `PROGRAM` (a folder whose
`pynvml.py` is this file) in front of its PYTHONPATH, name a JSON file in AUTO_LOOP_FAKE_NVML, and write that file with
`write_machine(file, boards, driver=True)`, whole and renamed, as often as you like. Each NVML call reads it afresh.
Without the file there is no driver. Pids in `processes` are matched where this machine's pids are its own; set
`memory` as well where a container may run the test: `Board(..., memory=(80 << 30, 9 << 30))`.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PROGRAM = Path(__file__).parent / "nvml_program"
FILE = "AUTO_LOOP_FAKE_NVML"
GIB = 1 << 30

nvmlMemory_v2 = 0x02000028  # noqa: N816 (the real one's name)


class NVMLError(Exception):
    """The base of NVML's errors; each kind is a class of its own, as in the real one."""


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801, N818 (the real one's name)
    """No driver on this machine."""


def kind(name: str) -> type[NVMLError]:
    """The error class of that name: GpuIsLost, NotSupported, Unknown."""
    return _KINDS.setdefault(name, type(f"NVMLError_{name}", (NVMLError,), {}))


_KINDS: dict[str, type[NVMLError]] = {"LibraryNotFound": NVMLError_LibraryNotFound}


@dataclass
class Process:
    """One that computes on a board; `memory` in bytes."""

    pid: int
    memory: int | None = 1 << 30
    mps: bool = False


@dataclass
class Board:
    """One GPU. `parts` are its MIG devices, by name or as boards of their own; None when it cannot be split.

    `memory` is (total, used) in bytes without `reserved`, which only the second version of the call leaves out;
    None where NVML does not tell. `lost` names the error of every call. `fails` names the error of one function.
    """

    bus: str
    uuid: str
    parts: "Sequence[str | Board] | None" = None
    memory: tuple[int, int] | None = (80 << 30, 0)
    name: str | bytes = "NVIDIA H100"
    holes: int = field(default=1)
    processes: list[Process] = field(default_factory=list)
    reserved: int = 600 << 20
    lost: str = ""
    fails: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Handle:
    """What NVML gives for a board: good until NVML is opened anew."""

    uuid: str
    opened: int


BOARDS: list[Board] = []
DRIVER: list[bool | str] = [True]  # or the name of the error that opening it gives
CALLS: Counter[str] = Counter()  # how often each function was called, and "<function> <uuid>"
_OPEN = [False]


def reset() -> None:
    """A machine with a driver and no GPUs."""
    BOARDS.clear()
    CALLS.clear()
    DRIVER[0], _OPEN[0] = True, False


def write_machine(file: Path, boards: Sequence[Board], *, driver: bool | str = True) -> None:
    """What the fake sees from its next call on, in every process that AUTO_LOOP_FAKE_NVML points to the file."""
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.write_text(json.dumps({"driver": driver, "boards": [asdict(board) for board in boards]}))
    aside.replace(file)


def _machine() -> tuple[bool | str, list[Board]]:
    named = os.environ.get(FILE)
    if named is None:
        return DRIVER[0], BOARDS
    try:
        found = json.loads(Path(named).read_text())
    except FileNotFoundError:
        return False, []
    return found["driver"], [_board(one) for one in found["boards"]]


def _board(told: dict[str, Any]) -> Board:
    parts = told["parts"]
    return Board(
        **told
        | {
            "memory": told["memory"] and tuple(told["memory"]),
            "processes": [Process(**one) for one in told["processes"]],
            "parts": parts and [one if isinstance(one, str) else _board(one) for one in parts],
        }
    )


def _called(function: str, handle: Handle | None = None) -> Board:
    """The board that is meant; what is wrong with it is raised."""
    CALLS[function] += 1
    if not _OPEN[0]:
        raise kind("Uninitialized")("Uninitialized")
    if handle is None:
        return Board("", "")
    CALLS[f"{function} {handle.uuid}"] += 1
    found = {one.uuid: one for board in _machine()[1] for one in (board, *_parts(board))}.get(handle.uuid)
    if found is None or handle.opened != CALLS["nvmlInit"]:
        raise kind("InvalidArgument")("Invalid Argument")
    wrong = found.lost or found.fails.get(function)
    if wrong:
        raise kind(wrong)(wrong)
    return found


def _parts(board: Board) -> list[Board]:
    return [
        Board(bus=board.bus, uuid=one, lost=board.lost, memory=board.memory) if isinstance(one, str) else one
        for one in board.parts or ()
    ]


def nvmlInit() -> None:
    CALLS["nvmlInit"] += 1
    driver = _machine()[0]
    if isinstance(driver, str):
        raise kind(driver)(driver)
    if not driver:
        raise NVMLError_LibraryNotFound("NVML Shared Library Not Found")
    _OPEN[0] = True


def nvmlShutdown() -> None:
    _OPEN[0] = False


def nvmlDeviceGetCount() -> int:
    _called("nvmlDeviceGetCount")
    return len(_machine()[1])


def nvmlDeviceGetHandleByIndex(number: int) -> Handle:
    _called("nvmlDeviceGetHandleByIndex")
    board = _machine()[1][number]
    if board.lost:
        raise kind(board.lost)(board.lost)
    return Handle(board.uuid, CALLS["nvmlInit"])


def nvmlDeviceGetPciInfo(handle: Handle) -> SimpleNamespace:
    return SimpleNamespace(busId=_called("nvmlDeviceGetPciInfo", handle).bus)


def nvmlDeviceGetMigMode(handle: Handle) -> tuple[int, int]:
    board = _called("nvmlDeviceGetMigMode", handle)
    if board.parts is None:
        raise kind("NotSupported")("Not Supported")
    return (1, 1) if board.parts else (0, 0)


def nvmlDeviceGetMaxMigDeviceCount(handle: Handle) -> int:
    board = _called("nvmlDeviceGetMaxMigDeviceCount", handle)
    return len(board.parts or []) + board.holes


def nvmlDeviceGetMigDeviceHandleByIndex(handle: Handle, number: int) -> Handle:
    board = _called("nvmlDeviceGetMigDeviceHandleByIndex", handle)
    if number < board.holes:
        raise kind("NotFound")("Not Found")
    return Handle(_parts(board)[number - board.holes].uuid, handle.opened)


def nvmlDeviceGetMemoryInfo(handle: Handle, version: int | None = None) -> SimpleNamespace:
    board = _called("nvmlDeviceGetMemoryInfo", handle)
    if board.memory is None:
        raise kind("NotSupported")("Not Supported")
    total, used = board.memory
    return SimpleNamespace(total=total, used=used if version else used + board.reserved)


def nvmlDeviceGetUUID(handle: Handle) -> str:
    return _called("nvmlDeviceGetUUID", handle).uuid


def nvmlDeviceGetName(handle: Handle) -> str | bytes:
    return _called("nvmlDeviceGetName", handle).name


def nvmlDeviceGetComputeRunningProcesses_v3(handle: Handle) -> list[SimpleNamespace]:
    return _processes("nvmlDeviceGetComputeRunningProcesses_v3", handle, mps=False)


def nvmlDeviceGetComputeRunningProcesses_v2(handle: Handle) -> list[SimpleNamespace]:
    return _processes("nvmlDeviceGetComputeRunningProcesses_v2", handle, mps=False)


def nvmlDeviceGetMPSComputeRunningProcesses_v3(handle: Handle) -> list[SimpleNamespace]:
    return _processes("nvmlDeviceGetMPSComputeRunningProcesses_v3", handle, mps=True)


def _processes(function: str, handle: Handle, *, mps: bool) -> list[SimpleNamespace]:
    board = _called(function, handle)
    return [SimpleNamespace(pid=one.pid, usedGpuMemory=one.memory) for one in board.processes if one.mps == mps]
