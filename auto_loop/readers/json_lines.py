"""JSONL files as trainers leave them: growing, torn at the end, damaged in the middle. What can be read is kept."""

import json
from collections.abc import Iterator
from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.readers.base import FilePlace, Row
from auto_loop.readers.columns import as_number, numbers, row_of


class JsonRows:
    """The rows of one JSONL file from a place on: iterate once, then ask for `place` and `notes`.

    A row's step is its `_step`, else its place in the file. A line that the mirror marked `_late` was dropped by W&B,
    as its step had passed: so do we. Stops after `limit` bytes (None: at the end).
    """

    def __init__(self, file: Path, begin: FilePlace, separator: str, limit: int | None = None) -> None:
        self._file = file
        self._separator = separator
        self._inode = begin.inode
        self._offset = begin.offset
        self._rows = begin.rows
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
        return FilePlace(inode=self._inode, offset=self._offset, rows=self._rows)

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
            return
        ordinal, self._rows = self._rows, self._rows + 1
        if data.get("_late"):
            return
        yield row_of(step_of(data, ordinal), numbers(data, self._separator))


def parse_object(line: bytes) -> dict[str, Json] | None:
    """The JSON object on a line (bare NaN and Infinity allowed), or None."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def step_of(data: dict[str, Json], ordinal: int) -> int:
    """The log's own step in a logged mapping, else `ordinal`."""
    step = as_number(data.get("_step"))
    return int(step) if step is not None and abs(step) < 2**62 else ordinal
