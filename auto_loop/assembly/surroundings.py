"""What a call finds around it: clock, environment, folders, GPUs. Arguments everywhere else, read here once."""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from auto_loop.domain.slot import Gpu
from auto_loop.launch import gpus, processes
from auto_loop.launch.gpu_survey import Survey
from auto_loop.workspace.layout import Layout

LEAST_FREE = 64 << 20


def no_fault(moment: str) -> None:
    """The hook of ordinary life: nothing happens at a fault point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The world of one call. `probe_gpus` and `survey` ask NVML; `clock` gives unix seconds.

    Nothing is launched while a disk that is written to has less than `least_free` bytes. `fault` is called before and
    after each commit, launch and rename: crash tests end the process there.
    """

    layout: Layout
    env: Mapping[str, str]
    home: Path
    python: str
    cores: int
    clock: Callable[[], float]
    new_token: Callable[[], str]
    probe_gpus: Callable[[], tuple[Gpu, ...]]
    survey: Survey
    host: str = "localhost"
    boot_id: str = ""
    least_free: int = LEAST_FREE
    fault: Callable[[str], None] = no_fault

    @classmethod
    def here(cls) -> Self:
        """The real ones: this process's working folder, environment and interpreter."""
        return cls(
            layout=Layout(Path.cwd()),
            env=dict(os.environ),
            home=Path.home(),
            python=sys.executable,
            cores=gpus.cores(),
            clock=time.time,
            new_token=lambda: os.urandom(16).hex(),
            probe_gpus=gpus.probe,
            survey=Survey(),
            host=socket.gethostname(),
            boot_id=processes.boot_id(),
        )

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.layout.root
