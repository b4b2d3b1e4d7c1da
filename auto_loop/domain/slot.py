"""Slots: the GPUs (or the share of the CPU) that one job holds while it runs."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Device(StrEnum):
    """Where a job computes."""

    CUDA = "cuda"
    CPU = "cpu"
    MPS = "mps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML shows it. `index` is the physical number in PCI order; memory in bytes.

    `by_uuid`: its number is not to be relied on, for CUDA counts anew when a GPU before it has gone.
    """

    index: int
    uuid: str
    name: str
    memory_total: int
    memory_used: int = 0
    by_uuid: bool = False

    @property
    def is_mig(self) -> bool:
        """Whether this is one part of a GPU that is split; it is named by its UUID alone."""
        return self.uuid.startswith("MIG-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What one job holds: `gpus` is empty on a CPU slot. `cpu_threads` is the slot's share of the cores."""

    index: int
    device: Device
    gpus: tuple[Gpu, ...] = ()
    cpu_threads: int = 1

    @property
    def visible(self) -> str:
        """The value of CUDA_VISIBLE_DEVICES: physical numbers (a MIG device's UUID), nothing at all on a CPU slot."""
        return ",".join(gpu.uuid if gpu.is_mig or gpu.by_uuid else str(gpu.index) for gpu in self.gpus)

    def by_uuid(self) -> "Slot":
        """The slot with its GPUs named by UUID."""
        return replace(self, gpus=tuple(replace(gpu, by_uuid=True) for gpu in self.gpus))

    @property
    def place(self) -> str:
        """Where a job on this slot computes, as people read it."""
        if not self.gpus:
            return f"CPU, {self.cpu_threads} thread{'s' if self.cpu_threads > 1 else ''}"
        return "GPU " + ", ".join(str(gpu.index) for gpu in self.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why a free slot takes no job now, in words. `lost`: its GPU does not answer any more."""

    cause: str
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotState:
    """A slot as the ledger last knew it. `cause` says why it was idle, empty while a job held it; `since` in unix s.

    `gpus` are UUIDs, `numbers` the physical numbers of the same GPUs.
    """

    index: int
    place: str
    gpus: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    cause: str = ""
    since: float = 0.0
