"""What both readers of W&B's files share: which of the runs below an output folder is read, whole and as it grows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, Point, Reading
from auto_loop.readers.files import Scanner, follow, gather
from auto_loop.readers.run_folders import RunFolder, run_folders

FilesOf = Callable[[Sequence[RunFolder]], tuple[Path, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbRuns:
    """A reader of one kind of W&B file.

    `places` are the files below an output folder as a person would name them; `files_of` gives those of one run, oldest
    folder first; `scanner` reads the rows of one file.
    """

    source: Source
    places: tuple[str, ...]
    files_of: FilesOf
    scanner: Scanner

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The places below an output folder."""
        return tuple((folder / place).as_posix() for place in self.places)

    def can_read(self, folder: Path) -> bool:
        """Whether any W&B run there has such a file."""
        return any(self.files_of(run) for run in run_folders(folder))

    def read(self, folder: Path) -> Reading:
        """The newest W&B run that has numbers."""
        notes: list[str] = []
        for run in run_folders(folder):
            gathered = gather(self.files_of(run), self.scanner, self.source)
            notes.extend(gathered.notes)
            if gathered.series:
                return Reading(source=self.source, series=gathered.series, run_id=run[-1].run_id, notes=tuple(notes))
        return Reading(source=self.source, notes=tuple(notes))

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What the newest W&B run with such a file logged since."""
        files = next((files for run in run_folders(folder) if (files := self.files_of(run))), ())
        return follow(files, self.scanner, self.source, cursor)
