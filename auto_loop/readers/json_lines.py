"""JSONL files as trainers leave them: growing, torn at the end, damaged in the middle. What can be read is kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.readers.base import FilePlace, Row
from auto_loop.readers.columns import STEP_NAMES, as_number, numbers, row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a kind of JSONL file is meant: what joins nested keys; whether a row's step may be one of `STEP_NAMES`."""

    separator: str
    own_steps: bool


class JsonRows:
    """The rows of one JSONL file from a place on: iterate once, then ask for `place` and `notes`.

    A row's step is its `_step`, else (by `style`) the first of `STEP_NAMES` that it has; a row without one stands
    at the last step before it, or at its count while none was shown. A line that the mirror marked `_late` was dropped
    by W&B, as its step had passed: so do we. Stops after `limit` bytes (None: at the end).
    """

    def __init__(self, file: Path, begin: FilePlace, style: Style, limit: int | None = None) -> None:
        self._file = file
        self._style = style
        self._inode = begin.inode
        self._offset = begin.offset
        self._rows = begin.rows
        self._last_step = begin.step
        self._end = None if limit is None else begin.offset + limit
        self._damaged = 0
        self._torn = b""

    def __iter__(self) -> Iterator[Row]:
        with self._file.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    self._torn = line
                    return
                self._offset += len(line)
                yield from self._row(line)
                if self._end is not None and self._offset >= self._end:
                    return

    def last_line(self) -> Iterator[Row]:
        """The row of a last line without its newline, if it is whole: for a file that nobody writes any more."""
        line, self._torn = self._torn, b""
        if line.strip() and parse_object(line) is None:
            self._torn = line
        else:
            yield from self._row(line)

    @property
    def place(self) -> FilePlace:
        """Behind the last whole line."""
        return FilePlace(inode=self._inode, offset=self._offset, rows=self._rows, step=self._last_step)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read."""
        damaged = (f"{self._file.name}: {self._damaged} damaged lines were skipped",) if self._damaged else ()
        torn = (f"{self._file.name}: the last line is torn ({len(self._torn)} bytes)",) if self._torn else ()
        return damaged + torn

    def _row(self, line: bytes) -> Iterator[Row]:
        if not line.strip():
            return
        data = parse_object(line)
        if data is None:
            self._damaged += 1
        elif not data.get("_late"):
            found = numbers(data, self._style.separator)
            yield row_of(self._step(data, found), found)
            self._rows += 1

    def _step(self, data: dict[str, Json], found: dict[str, float]) -> int:
        """The row's step; the column that it was read from is no metric, and is taken out of `found`."""
        step = whole(data.get("_step"))
        if step is None and self._style.own_steps:
            name = next((name for name in STEP_NAMES if whole(found.get(name)) is not None), "")
            step = whole(found.pop(name, None))
        if step is not None:
            self._last_step = step
        return self._rows if self._last_step is None else self._last_step


def parse_object(line: bytes) -> dict[str, Json] | None:
    """The JSON object on a line (bare NaN and Infinity allowed), or None."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def whole(value: Json) -> int | None:
    """A step: the value as a whole number, or None when it is none."""
    number = as_number(value)
    return int(number) if number is not None and abs(number) < 2**53 and number == int(number) else None
