"""Reading and tailing a list of files with any of the row scanners: what all readers of growing files share.

The files are one run's, in the order in which they were begun (a resumed run has several): they are merged, and the
later wins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auto_loop.domain.series import Series, Source
from auto_loop.readers.base import Cursor, FilePlace, Point, Row
from auto_loop.readers.columns import STEP_BY_ROW, STEP_NAMES, Columns

SLICE_BYTES = 8 << 20  # one tail of one file reads this much at most, so that a supervisor is never held up
NO_CLOCK = -1  # a step column that once fell, or was no whole number


class RowScan(Protocol):
    """The rows of one file from a place on; `place` and `notes` are right once the rows were taken."""

    def __iter__(self) -> Iterator[Row]: ...

    def last_line(self) -> Iterator[Row]:
        """What can be said of the end only when nobody writes any more."""

    @property
    def place(self) -> FilePlace: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


Scanner = Callable[[Path, FilePlace, int | None], RowScan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All rows of some files as series, and what was amiss."""

    series: Mapping[str, Series]
    notes: tuple[str, ...]


def gather(files: Sequence[Path], scanner: Scanner, source: Source) -> Gathered:
    """Reads the files whole. A file that cannot be opened is a note."""
    columns, notes = Columns(), list[str]()
    for file in files:
        try:
            scan = scanner(file, FilePlace(inode=0, offset=0), None)
            columns.add(scan)
            columns.add(scan.last_line())
        except OSError as error:
            notes.append(f"{file.name}: {error.strerror or error}")
        else:
            notes.extend(scan.notes)
    return Gathered(series=columns.series(source), notes=tuple(notes))


def follow(
    files: Sequence[Path], scanner: Scanner, source: Source, cursor: Cursor | None
) -> tuple[list[Point], Cursor]:
    """The points that came since `cursor`. A long backlog comes in slices: call again while there are points."""
    before = cursor or Cursor(source=source)
    places, rows = dict(before.files), list[Row]()
    for file in files:
        try:
            begin = _begin(file, places.get(str(file)))
            if begin is not None:
                scan = scanner(file, begin, SLICE_BYTES)
                rows.extend(scan)
                places[str(file)] = scan.place
                if scan.place.offset - begin.offset >= SLICE_BYTES:
                    break  # the rest of this file comes before the next one
        except OSError:  # gone or unreadable now; it may come back
            continue
    counts, clock = _fold(rows, before)
    clock_name = None if source in STEP_BY_ROW else _clock_name(counts, clock)
    points = _points(rows, before, clock_name)
    return points, Cursor(source=source, files=places, counts=counts, clock=clock)


def _begin(file: Path, place: FilePlace | None) -> FilePlace | None:
    """Where to go on in a file: None when nothing is new, its start when it is another file or became shorter."""
    status = file.stat()
    if place is None or place.inode != status.st_ino or status.st_size < place.offset:
        return FilePlace(inode=status.st_ino, offset=0)
    return place if status.st_size > place.offset else None


def _fold(rows: Sequence[Row], before: Cursor) -> tuple[dict[str, int], dict[str, int]]:
    """The cursor's counts and clock after `rows`."""
    counts, clock = dict(before.counts), dict(before.clock)
    for row in rows:
        for name, value in zip(row.names, row.values, strict=True):
            counts[name] = counts.get(name, 0) + 1
            if name in STEP_NAMES:
                last = clock.get(name)
                clock[name] = int(value) if _goes_on(value, last) else NO_CLOCK
    return counts, clock


def _goes_on(value: float, last: int | None) -> bool:
    whole = value.is_integer() and 0 <= value < 2**53
    return whole and (last is None or NO_CLOCK < last <= value)


def _clock_name(counts: Mapping[str, int], clock: Mapping[str, int]) -> str | None:
    """The column that is the trainer's step so far (see `columns`), or None."""
    longest = max(counts.values(), default=0)
    return next((n for n in STEP_NAMES if clock.get(n, NO_CLOCK) != NO_CLOCK and counts[n] == longest), None)


def _points(rows: Sequence[Row], before: Cursor, clock_name: str | None) -> list[Point]:
    """The rows as points at the trainer's step, or at the log's own when `clock_name` is None."""
    if clock_name is None:
        return [
            Point(name=name, step=row.step, value=value)
            for row in rows
            for name, value in zip(row.names, row.values, strict=True)
        ]
    points, now = list[Point](), before.clock.get(clock_name)
    for row in rows:
        found = dict(zip(row.names, row.values, strict=True))
        if clock_name in found:
            now = int(found.pop(clock_name))
        step = row.step if now is None else now
        points.extend(Point(name=name, step=step, value=value) for name, value in found.items())
    return points
