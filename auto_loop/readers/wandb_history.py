"""Reads `wandb-history.jsonl`: the file that the runner's mirror makes true again, and that clients before 0.10 wrote.

One line is one log call, or one key of it: `{"_step": 3, "_runtime": …, "_timestamp": …, "train/loss": 0.5}`. Lines of
one step are one row, the later wins.
"""

from collections.abc import Sequence
from pathlib import Path

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, FilePlace, Point, Reading
from auto_loop.readers.files import follow, gather
from auto_loop.readers.json_lines import JsonRows, Style
from auto_loop.readers.run_folders import RunFolder, run_folders

_STYLE = Style(separator=".", own_steps=False)
PLACES = ("files/wandb-history.jsonl", "wandb-history.jsonl")


class WandbHistory:
    """The reader of mirrored and legacy histories."""

    source = Source.MIRROR

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The places below an output folder."""
        return tuple((folder / "wandb" / "*run*" / place).as_posix() for place in PLACES)

    def can_read(self, folder: Path) -> bool:
        """Whether any W&B run there has such a file."""
        return any(_files(run) for run in run_folders(folder))

    def read(self, folder: Path) -> Reading:
        """The newest W&B run that has numbers in its history."""
        notes: list[str] = []
        for run in run_folders(folder):
            gathered = gather(_files(run), scan, self.source)
            notes.extend(gathered.notes)
            if gathered.series:
                return Reading(source=self.source, series=gathered.series, run_id=run[-1].run_id, notes=tuple(notes))
        return Reading(source=self.source, notes=tuple(notes))

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What the newest W&B run with a history logged since."""
        files = next((files for run in run_folders(folder) if (files := _files(run))), ())
        return follow(files, scan, self.source, cursor)


def _files(run: Sequence[RunFolder]) -> tuple[Path, ...]:
    """One history file a folder of the run, oldest folder first."""
    found = (next((one.folder / place for place in PLACES if (one.folder / place).is_file()), None) for one in run)
    return tuple(file for file in found if file is not None)


def scan(file: Path, begin: FilePlace, limit: int | None) -> JsonRows:
    """The rows of one such file from a place on."""
    return JsonRows(file, begin, _STYLE, limit)
