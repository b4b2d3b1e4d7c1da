"""What a call finds around it: clock, environment, folders, GPUs. Arguments everywhere else, read here once."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from auto_loop.domain.slot import Gpu
from auto_loop.launch import gpus
from auto_loop.workspace.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The world of one call. `probe_gpus` asks NVML; `clock` gives unix seconds."""

    layout: Layout
    env: Mapping[str, str]
    home: Path
    python: str
    cores: int
    clock: Callable[[], float]
    new_token: Callable[[], str]
    probe_gpus: Callable[[], tuple[Gpu, ...]]

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
            new_token=lambda: secrets.token_hex(16),
            probe_gpus=gpus.probe,
        )

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.layout.root
