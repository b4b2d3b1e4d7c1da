"""A series: one metric over steps, and where it was read."""

from collections.abc import Sequence
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


def series_of(
    name: str,
    steps: Sequence[int] | npt.NDArray[np.int64],
    values: Sequence[float] | npt.NDArray[np.float64],
    source: Source,
) -> Series:
    """The series of points in the order they were logged: sorted by step, the later point of one step wins."""
    step_array = np.asarray(steps, dtype=np.int64)
    value_array = np.asarray(values, dtype=np.float64)
    if step_array.shape != value_array.shape or step_array.ndim != 1:
        raise ValueError(f"{name}: {step_array.shape} steps, {value_array.shape} values")
    if step_array.size > 1 and not bool(np.all(np.diff(step_array) > 0)):
        order = np.argsort(step_array, kind="stable")
        step_array, value_array = step_array[order], value_array[order]
        is_last_of_its_step = np.append(np.diff(step_array) > 0, True)
        step_array, value_array = step_array[is_last_of_its_step], value_array[is_last_of_its_step]
    return Series(name=name, steps=step_array, values=value_array, source=source)
