"""Reads `metrics.jsonl` and `windows.jsonl`: one JSON object a line, the plainest log that a trainer can leave.

Numbers at any depth, their keys joined by `/`. The step is `_step`, or one of `columns.STEP_NAMES` (`step`,
`global_step`, `env_steps`, `window_env_steps`, …); a line without one stands at the last step before it, and lines
are counted where none has one. A step may fall back, as a resumed trainer's does: of two rows of one step the later
wins.
"""

from pathlib import Path

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, FilePlace, Point, Reading
from auto_loop.readers.files import follow, gather
from auto_loop.readers.json_lines import JsonRows, Style

_STYLE = Style(separator="/", own_steps=True)
# The first that has numbers wins whole; files are never mixed.
PLACES = ("metrics.jsonl", "windows.jsonl", "metrics/metrics.jsonl", "metrics/windows.jsonl")


class Windows:
    """The reader of plain JSONL metrics."""

    source = Source.METRICS

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The places in a run's folder."""
        return tuple((folder / place).as_posix() for place in PLACES)

    def can_read(self, folder: Path) -> bool:
        """Whether any of the files is there."""
        return any((folder / place).is_file() for place in PLACES)

    def read(self, folder: Path) -> Reading:
        """The first of the files that has numbers."""
        notes: list[str] = []
        for place in PLACES:
            if (folder / place).is_file():
                gathered = gather((folder / place,), scan, self.source)
                notes.extend(gathered.notes)
                if gathered.series:
                    return Reading(source=self.source, series=gathered.series, notes=tuple(notes))
        return Reading(source=self.source, notes=tuple(notes))

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What came since, in the file that the cursor began with, else the first that has something."""
        begun = [Path(name) for name in cursor.files] if cursor else []
        for file in begun or [folder / place for place in PLACES]:
            points, after = follow((file,) if file.is_file() else (), scan, self.source, cursor)
            if points or begun:
                return points, after
        return [], cursor or Cursor(source=self.source)


def scan(file: Path, begin: FilePlace, limit: int | None) -> JsonRows:
    """The rows of one such file from a place on."""
    return JsonRows(file, begin, _STYLE, limit)
