"""A fake NVML with the names of nvidia-ml-py: a machine of GPUs, given as plain data before `probe`."""

from dataclasses import dataclass, field
from types import SimpleNamespace


class NVMLError(Exception):
    """The base of NVML's errors."""


class NVMLErrorLibraryNotFound(NVMLError):  # noqa: N818 (the name that probe looks for begins as the real one)
    """No driver on this machine."""


@dataclass
class Board:
    """One GPU. `parts` are the names of its MIG devices; None when it cannot be split."""

    bus: str
    uuid: str
    parts: list[str] | None = None
    memory: tuple[int, int] | None = (80 << 30, 1 << 30)
    name: str | bytes = "NVIDIA H100"
    holes: int = field(default=1)


BOARDS: list[Board] = []
DRIVER = [True]


def nvmlInit() -> None:
    if not DRIVER[0]:
        raise NVMLErrorLibraryNotFound("NVML Shared Library Not Found")


def nvmlShutdown() -> None:
    """Nothing to let go of."""


def nvmlDeviceGetCount() -> int:
    return len(BOARDS)


def nvmlDeviceGetHandleByIndex(number: int) -> Board:
    return BOARDS[number]


def nvmlDeviceGetPciInfo(board: Board) -> SimpleNamespace:
    return SimpleNamespace(busId=board.bus)


def nvmlDeviceGetMigMode(board: Board) -> tuple[int, int]:
    if board.parts is None:
        raise NVMLError("Not Supported")
    return (1, 1) if board.parts else (0, 0)


def nvmlDeviceGetMaxMigDeviceCount(board: Board) -> int:
    return len(board.parts or []) + board.holes


def nvmlDeviceGetMigDeviceHandleByIndex(board: Board, number: int) -> Board:
    if number < board.holes:
        raise NVMLError("Not Found")
    assert board.parts is not None
    return Board(bus=board.bus, uuid=board.parts[number - board.holes])


def nvmlDeviceGetMemoryInfo(board: Board) -> SimpleNamespace:
    if board.memory is None:
        raise NVMLError("Not Supported")
    return SimpleNamespace(total=board.memory[0], used=board.memory[1])


def nvmlDeviceGetUUID(board: Board) -> str:
    return board.uuid


def nvmlDeviceGetName(board: Board) -> str | bytes:
    return board.name
