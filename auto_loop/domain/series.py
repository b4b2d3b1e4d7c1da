"""A series: one metric over steps, and where it was read."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt


class Source(StrEnum):
    """Where a run's metrics were read, best first; one source wins whole for a run."""

    MIRROR = "wandb-history.jsonl"
    METRICS = "metrics.jsonl"
    WANDB = ".wandb"
    TENSORBOARD = "tensorboard"
    FINAL_ONLY = "final-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric: `steps` int64 (n,), rising; `values` float64 (n,), which may hold nan and ±inf.

    A `FINAL_ONLY` series has one point, a last value that says nothing about first or best.
    """

    name: str
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    source: Source
