"""From rows, one a log call, to series, one a metric: numbers gathered by name, and the choice of the step.

The step is the trainer's own logged step if it has one, else the step of the log (W&B's `_step`). A column counts as
the trainer's step when it rises all along and no metric has more points than it, so that nothing is lost by going over
to it; rows without it stand at its last value before them.
"""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from auto_loop.domain.config import Json
from auto_loop.domain.series import Series, Source, series_of
from auto_loop.readers.base import Row

# In this order; `train/steps` of LeRobot is W&B's own step already.
STEP_NAMES = (
    "global_step",
    "trainer/global_step",
    "train/global_step",
    "step",
    "train/step",
    "env_steps",
    "window_env_steps",
    "total_steps",
    "train/env_steps",
    "iteration",
)
# Each of its rows has been given the trainer's step by its reader already.
STEP_BY_ROW = frozenset({Source.METRICS, Source.FINAL_ONLY})
# W&B's own columns and the mirror's marks.
NOT_METRICS = frozenset({"_step", "_runtime", "_timestamp", "_wandb", "_late"})
# JSON has no numbers for these; W&B's old history and others wrote them as text.
NUMBER_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def numbers(data: Mapping[str, Json], separator: str) -> dict[str, float]:
    """The numeric leaves of one logged mapping by joined name; W&B's own columns are left out.

    A bool is no number, nor is a list; a mapping with `_type` (an image, a histogram) is a medium, not a metric.
    """
    found: dict[str, float] = {}
    _gather(data, "", separator, found)
    return found


def _gather(data: Mapping[str, Json], prefix: str, separator: str, found: dict[str, float]) -> None:
    for key, value in data.items():
        if not prefix and key in NOT_METRICS:
            continue
        if isinstance(value, dict):
            if "_type" not in value:
                _gather(value, f"{prefix}{key}{separator}", separator, found)
        elif (number := as_number(value)) is not None:
            found[f"{prefix}{key}"] = number


def as_number(value: Json) -> float | None:
    """The value as a float, or None when it is no number."""
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return NUMBER_WORDS.get(value) if isinstance(value, str) else None


class Columns:
    """Rows gathered by metric, in the order they came: 16 bytes a point."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[int], array[float]]] = {}
        self._appends: dict[str, tuple[Callable[[int], None], Callable[[float], None]]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Takes rows in; the later row of one step wins."""
        appends = self._appends
        for step, names, values in rows:
            for name, value in zip(names, values, strict=True):
                try:
                    add_step, add_value = appends[name]
                except KeyError:
                    add_step, add_value = self._begin(name)
                add_step(step)
                add_value(value)

    def _begin(self, name: str) -> tuple[Callable[[int], None], Callable[[float], None]]:
        """A new column's two appends, looked up once: this is what reading a long history mostly does."""
        steps, values = self._columns[name] = (array("q"), array("d"))
        self._appends[name] = (steps.append, values.append)
        return self._appends[name]

    def series(self, source: Source) -> dict[str, Series]:
        """The series by name, over the trainer's logged step if it has one."""
        by_name = {
            name: series_of(name, np.frombuffer(steps, np.int64), np.frombuffer(values, np.float64), source)
            for name, (steps, values) in sorted(self._columns.items())
        }
        clock = None if source in STEP_BY_ROW else logged_step(by_name)
        if clock is None:
            return by_name
        return {
            name: series_of(name, at_clock(one.steps, clock), one.values, source)
            for name, one in by_name.items()
            if name != clock.name
        }


def logged_step(by_name: Mapping[str, Series]) -> Series | None:
    """The column that is the trainer's step, or None when the log's own step is all there is."""
    longest = max((len(one.steps) for one in by_name.values()), default=0)
    for name in STEP_NAMES:
        column = by_name.get(name)
        if column is not None and len(column.steps) == longest and _rises(column.values):
            return column
    return None


def _rises(values: npt.NDArray[np.float64]) -> bool:
    """Whether these are whole numbers, each above the one before."""
    whole = bool(np.all(np.isfinite(values))) and bool(np.all(values == np.floor(values)))
    return whole and bool(np.all(np.abs(values) < 2**53)) and bool(np.all(np.diff(values) > 0))


def at_clock(steps: npt.NDArray[np.int64], clock: Series) -> npt.NDArray[np.int64]:
    """The trainer's step at each of the log's steps: the last one logged until then, or the first of all."""
    at = np.searchsorted(clock.steps, steps, side="right") - 1
    return clock.values[np.maximum(at, 0)].astype(np.int64)


def row_of(step: int, found: Mapping[str, float]) -> Row:
    """A row from numbers by name."""
    names: Sequence[str] = tuple(found)
    return Row(step, names, tuple(found.values()))
