"""Reads `wandb-summary.json`: each metric's last value, never a series. No rule that needs a change may fire on it."""

from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.domain.series import Source, series_of
from auto_loop.readers.base import Cursor, Point, Reading
from auto_loop.readers.columns import numbers
from auto_loop.readers.json_lines import parse_object, whole
from auto_loop.readers.run_folders import RunFolder, run_folders

PLACES = ("files/wandb-summary.json", "wandb-summary.json")


class FinalOnly:
    """The reader of W&B's summaries."""

    source = Source.FINAL_ONLY

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The places below an output folder."""
        return tuple((folder / "wandb" / "*run*" / place).as_posix() for place in PLACES)

    def can_read(self, folder: Path) -> bool:
        """Whether any W&B run there has a summary."""
        return any(_file(one) for run in run_folders(folder) for one in run)

    def read(self, folder: Path) -> Reading:
        """The summary of the newest W&B run folder that has a readable one."""
        notes: list[str] = []
        for one in (one for run in run_folders(folder) for one in reversed(run)):
            file = _file(one)
            if file is None:
                continue
            data = _load(file)
            if data is None:
                notes.append(f"{file.name}: no JSON object")
            elif found := numbers(data, "."):
                step = whole(data.get("_step")) or 0
                series = {name: series_of(name, [step], [found[name]], self.source) for name in sorted(found)}
                return Reading(source=self.source, series=series, run_id=one.run_id, notes=tuple(notes))
        return Reading(source=self.source, notes=tuple(notes))

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """Nothing: a last value is written once, and is no news to follow."""
        return [], cursor or Cursor(source=self.source)


def _file(one: RunFolder) -> Path | None:
    return next((one.folder / place for place in PLACES if (one.folder / place).is_file()), None)


def _load(file: Path) -> dict[str, Json] | None:
    try:
        return parse_object(file.read_bytes())
    except OSError:
        return None
