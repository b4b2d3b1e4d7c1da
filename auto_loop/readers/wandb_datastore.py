"""Reads the binary `.wandb` file itself, without wandb and without protobuf: for runs that nobody mirrored.

Only history records are decoded; summaries, half of the bytes, are skipped by their tag. While a run lives its file
holds whole blocks only, and a kill loses what was not flushed: torn ends are ordinary, and said.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from auto_loop.domain.series import Source
from auto_loop.readers.base import FilePlace, Row
from auto_loop.readers.log_blocks import LogRecords
from auto_loop.readers.run_folders import RunFolder
from auto_loop.readers.wandb_records import MalformedError, RowDecoder, RunRecord, exit_code_of, run_of
from auto_loop.readers.wandb_runs import WandbRuns

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


def wandb_datastore() -> WandbRuns:
    """The reader of `.wandb` files."""
    return WandbRuns(source=Source.WANDB, places=("wandb/*run*/run-*.wandb",), files_of=_files, scanner=DatastoreRows)
