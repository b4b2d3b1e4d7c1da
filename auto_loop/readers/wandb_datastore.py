"""Reads the binary `.wandb` file itself, without wandb and without protobuf: for runs that nobody mirrored.

Only history records are decoded; summaries, half of the bytes, are skipped by their tag. While a run lives its file
holds whole blocks only, and a kill loses what was not flushed: torn ends are ordinary, and said.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, FilePlace, Point, Reading, Row
from auto_loop.readers.files import follow, gather
from auto_loop.readers.log_blocks import LogRecords
from auto_loop.readers.run_folders import RunFolder, run_folders
from auto_loop.readers.wandb_records import MalformedError, RowDecoder, RunRecord, exit_code_of, run_of

Told = TypeVar("Told")
_RECORDS_BEFORE_RUN = 64  # the run record is among the first; do not search a long file for it


class DatastoreRows:
    """The rows of one `.wandb` file from a place on: iterate once, then ask for `place` and `notes`."""

    def __init__(self, file: Path, begin: FilePlace, limit: int | None = None) -> None:
        self._name = file.name
        self._inode = begin.inode
        self._records = LogRecords(file, begin.offset, limit)
        self._unreadable = 0

    def __iter__(self) -> Iterator[Row]:
        decode = RowDecoder().row
        for record in self._records:
            try:
                row = decode(record)
            except MalformedError:
                self._unreadable += 1
                continue
            if row is not None:
                yield row

    def last_line(self) -> Iterator[Row]:
        """Nothing: a record that is not whole cannot be read."""
        return iter(())

    @property
    def place(self) -> FilePlace:
        """Behind the last whole record."""
        return FilePlace(inode=self._inode, offset=self._records.offset)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was damaged or torn."""
        unreadable = (f"{self._name}: {self._unreadable} records do not parse",) if self._unreadable else ()
        return self._records.damage.notes(self._name) + unreadable


class WandbDatastore:
    """The reader of `.wandb` files."""

    source = Source.WANDB

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The place below an output folder."""
        return ((folder / "wandb" / "*run*" / "run-*.wandb").as_posix(),)

    def can_read(self, folder: Path) -> bool:
        """Whether any W&B run there has such a file."""
        return any(_files(run) for run in run_folders(folder))

    def read(self, folder: Path) -> Reading:
        """The newest W&B run that has numbers."""
        notes: list[str] = []
        for run in run_folders(folder):
            gathered = gather(_files(run), DatastoreRows, self.source)
            notes.extend(gathered.notes)
            if gathered.series:
                return Reading(source=self.source, series=gathered.series, run_id=run[-1].run_id, notes=tuple(notes))
        return Reading(source=self.source, notes=tuple(notes))

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What the newest W&B run logged since."""
        files = next((files for run in run_folders(folder) if (files := _files(run))), ())
        return follow(files, DatastoreRows, self.source, cursor)


def run_record(one: RunFolder) -> RunRecord | None:
    """Who the run in a W&B run folder is, or None when its file does not say (yet)."""
    return _first(one, _RECORDS_BEFORE_RUN, run_of)


def exit_code(one: RunFolder) -> int | None:
    """What the run in a W&B run folder ended with, or None when its file does not say: it lives, or was killed."""
    return _first(one, None, exit_code_of)


def _first(one: RunFolder, most: int | None, told: Callable[[bytes], Told | None]) -> Told | None:
    """The first thing that one of the first `most` records tells."""
    for file in _files((one,)):
        try:
            records = islice(LogRecords(file, 0), most)
            return next((found for record in records if (found := told(record)) is not None), None)
        except OSError:
            return None
    return None


def _files(run: Sequence[RunFolder]) -> tuple[Path, ...]:
    """The `.wandb` files of the run's folders, oldest folder first."""
    return tuple(file for one in run for file in sorted(one.folder.glob("run-*.wandb")))
