"""Stands in for NVML in the processes of a night: four GPUs, whatever the machine has."""

from tests.fakes.nvml import *  # noqa: F403 (all of its names, as the module that is imported here by name)
from tests.fakes.nvml import BOARDS, Board

BOARDS[:] = [Board(bus=f"00000000:0{n}:00.0", uuid=f"GPU-0000000{n}-aaaa-bbbb-cccc-000000000000") for n in range(4)]
