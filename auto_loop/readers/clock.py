"""When each step of a run was logged: the seconds that stand beside the metrics, on the same steps as these.

W&B gives every row a `_timestamp` (unix seconds) and a `_runtime` (seconds since its process began); a plain JSONL log
may have a `timestamp` or a `time`. They are no metrics, and the readers leave them out; here nothing else is read.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from auto_loop.domain.config import Json
from auto_loop.domain.series import Series, Source, series_of
from auto_loop.readers.base import FilePlace, Reading, Row
from auto_loop.readers.columns import STEP_NAMES, as_number
from auto_loop.readers.files import gather
from auto_loop.readers.json_lines import JsonRows, Style, parse_object
from auto_loop.readers.log_blocks import LogRecords
from auto_loop.readers.wandb_datastore import wandb_datastore
from auto_loop.readers.wandb_history import wandb_history
from auto_loop.readers.wandb_records import MalformedError, RowDecoder, history_row
from auto_loop.readers.windows import PLACES

CLOCK = "wall clock"  # seconds; from when on they are counted differs from run to run
_NAMES = ("_timestamp", "timestamp", "time", "_runtime")
_AT = "at "  # before the name of a step column: under its own it would be taken for the log's clock


def clock_of(folder: Path, reading: Reading) -> Series | None:
    """The seconds at each logged step of the run in `folder`, of which `reading` holds the metrics; None where its
    log has none, or they do not rise."""
    match reading.source:
        case Source.MIRROR:
            found = replace(wandb_history(), scanner=_mirror).read(folder).series
        case Source.WANDB:
            found = replace(wandb_datastore(), scanner=_DatastoreClock).read(folder).series
        case Source.METRICS:
            files = [file for file in (folder / place for place in PLACES) if file.is_file()]
            found = next((s for file in files if (s := gather((file,), _plain, Source.METRICS).series)), {})
        case _:
            return None
    clock = found.get(CLOCK)
    if clock is None or len(clock.steps) < 2 or bool(np.any(np.diff(clock.values) < 0)):
        return None
    return _on_steps_of(reading, clock, found)


def _on_steps_of(reading: Reading, clock: Series, found: Mapping[str, Series]) -> Series:
    """The clock over the trainer's own step, where the metrics went over to it: that column is none of them then."""
    own = next((n for n in STEP_NAMES if n not in reading.series and f"{_AT}{n}" in found), None)
    if own is None:
        return clock
    column = found[f"{_AT}{own}"]
    at = np.maximum(np.searchsorted(column.steps, clock.steps, side="right") - 1, 0)
    return series_of(CLOCK, column.values[at].astype(np.int64), clock.values, clock.source)


def _row(row: Row, seconds: float | None) -> Iterator[Row]:
    """The row with the clock alone, and the columns that may be the trainer's step."""
    if seconds is None or not math.isfinite(seconds):
        return
    steps = {f"{_AT}{name}": value for name, value in zip(row.names, row.values, strict=True) if name in STEP_NAMES}
    yield Row(row.step, (CLOCK, *steps), (seconds, *steps.values()))


def _seconds(data: Mapping[str, Json]) -> float | None:
    return next((number for name in _NAMES if (number := as_number(data.get(name))) is not None), None)


class _JsonClock(JsonRows):
    """The clock in a JSONL file."""

    def _row(self, line: bytes) -> Iterator[Row]:
        data = parse_object(line) or {}
        for row in super()._row(line):
            yield from _row(row, _seconds(data))


def _mirror(file: Path, begin: FilePlace, limit: int | None) -> _JsonClock:
    return _JsonClock(file, begin, Style(separator=".", own_steps=False), limit)


def _plain(file: Path, begin: FilePlace, limit: int | None) -> _JsonClock:
    return _JsonClock(file, begin, Style(separator="/", own_steps=True), limit)


class _DatastoreClock:
    """The clock in a `.wandb` file. What is damaged there was told when the metrics were read."""

    notes: tuple[str, ...] = ()

    def __init__(self, file: Path, begin: FilePlace, limit: int | None = None) -> None:
        self._inode = begin.inode
        self._records = LogRecords(file, begin.offset, limit)

    def __iter__(self) -> Iterator[Row]:
        decode = RowDecoder().row
        for record in self._records:
            try:
                row = decode(record)
                if row is not None:
                    yield from _row(row, _seconds(history_row(record)))
            except MalformedError:
                continue

    def last_line(self) -> Iterator[Row]:
        return iter(())

    @property
    def place(self) -> FilePlace:
        return FilePlace(inode=self._inode, offset=self._records.offset)
