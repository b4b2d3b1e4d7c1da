"""From rows, one a log call, to series, one a metric: numbers gathered by name, and the choice of the step.

The step is the trainer's own logged step if it has one, else the step of the log (W&B's `_step`). A column counts as
the trainer's step when it never falls, rises at all, and no point of any metric is lost by going over to it; rows
without it stand at its last value before them.
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
        return by_name if source in STEP_BY_ROW else over_logged_step(by_name)


def over_logged_step(by_name: dict[str, Series]) -> dict[str, Series]:
    """The series over the trainer's own step, or as they are when the log's step is all there is."""
    for name in STEP_NAMES:
        clock = by_name.get(name)
        if clock is None or not _rises(clock.values):
            continue
        others = {other: one for other, one in by_name.items() if other != name}
        moved = {
            other: series_of(other, _at(one.steps, clock), one.values, one.source) for other, one in others.items()
        }
        if all(len(moved[other].steps) == len(one.steps) for other, one in others.items()):
            return moved
    return by_name


def _rises(values: npt.NDArray[np.float64]) -> bool:
    """Whether these are whole numbers, none below the one before, that do not all stand still."""
    whole = bool(np.all(np.abs(values) < 2**53)) and bool(np.all(values == np.floor(values)))  # nan is neither
    return whole and bool(np.all(np.diff(values) >= 0)) and (len(values) == 1 or bool(values[-1] > values[0]))


def _at(steps: npt.NDArray[np.int64], clock: Series) -> npt.NDArray[np.int64]:
    """The trainer's step at each of the log's steps: the last one logged until then, or the first of all."""
    at = np.searchsorted(clock.steps, steps, side="right") - 1
    return clock.values[np.maximum(at, 0)].astype(np.int64)


def row_of(step: int, found: Mapping[str, float]) -> Row:
    """A row from numbers by name."""
    names: Sequence[str] = tuple(found)
    return Row(step, names, tuple(found.values()))
