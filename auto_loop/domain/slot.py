"""Slots: the GPUs (or the share of the CPU) that one job holds while it runs."""

from dataclasses import dataclass
from enum import StrEnum


class Device(StrEnum):
    """Where a job computes."""

    CUDA = "cuda"
    CPU = "cpu"
    MPS = "mps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML shows it. `index` is the physical number in PCI order; memory in bytes."""

    index: int
    uuid: str
    name: str
    memory_total: int
    memory_used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What one job holds: `gpus` is empty on a CPU slot. `cpu_threads` is the slot's share of the cores."""

    index: int
    device: Device
    gpus: tuple[Gpu, ...] = ()
    cpu_threads: int = 1

    @property
    def visible(self) -> str:
        """The value of CUDA_VISIBLE_DEVICES: physical numbers, or nothing at all on a CPU slot."""
        return ",".join(str(gpu.index) for gpu in self.gpus)
