"""What both readers of W&B's files share: how the runs below an output folder make one history, whole and as it grows.

A trainer that was killed and resumes begins a W&B run anew in the same folder, and its steps go on from the checkpoint.
So a newer run replaces everything from its own first step on: what the older one had logged after the checkpoint is
history that was made again, and a run that begins at step 0 leaves nothing of those before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from auto_loop.domain.series import Series, Source, series_of
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
        """All W&B runs there as one history, the newer going before the older; it has the newest one's id."""
        notes, joints = list[str](), list[int]()
        series, run_id = dict[str, Series](), ""
        for run in run_folders(folder):
            found = self._of_one(run, notes)
            if not found:
                continue
            joint = _first_step(series)
            if joint is None:
                series, run_id = found, run[-1].run_id
            elif before := _before(found, joint):
                series = _joined(before, series)
                joints.append(joint)
            if _first_step(series) == 0:
                break  # nothing older can be left
        if joints:
            steps = ", ".join(str(joint) for joint in reversed(joints))
            notes.append(f"{len(joints) + 1} W&B runs were joined at step {steps}")
        return Reading(source=self.source, series=series, run_id=run_id, notes=tuple(notes))

    def _of_one(self, run: Sequence[RunFolder], notes: list[str]) -> dict[str, Series]:
        """One W&B run, whose resumptions under the same id have folders of their own.

        There each metric goes by itself: several processes may have logged side by side.
        """
        series = dict[str, Series]()
        for one in reversed(run):
            gathered = gather(self.files_of((one,)), self.scanner, self.source)
            notes.extend(gathered.notes)
            older = {name: _until(found, series.get(name)) for name, found in gathered.series.items()}
            series = _joined(older, series)
        return series

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What the runs logged since: those before the newest first, each by itself; then the newest as it grows.

        What is older than the run that the cursor stands in is not looked at again.
        """
        now = cursor or Cursor(source=self.source)
        for files in self._from(folder, now):
            begun = now if now.files.keys() & {str(file) for file in files} else Cursor(source=self.source)
            points, after = follow(files, self.scanner, self.source, begun)
            if after.files:
                now = after
            if points:
                return points, now
        return [], now

    def _from(self, folder: Path, cursor: Cursor) -> Iterator[tuple[Path, ...]]:
        """The files of the run that the cursor stands in, and of each newer one; of all runs when it stands in none."""
        runs = [files for run in reversed(run_folders(folder)) if (files := self.files_of(run))]
        at = [number for number, files in enumerate(runs) if cursor.files.keys() & {str(file) for file in files}]
        yield from runs[at[-1] if at else 0 :]


def _first_step(series: Mapping[str, Series]) -> int | None:
    return min((int(one.steps[0]) for one in series.values()), default=None)


def _before(series: Mapping[str, Series], step: int) -> dict[str, Series]:
    """What was logged before `step`; metrics without any are left out."""
    cut = {name: _cut(one, step) for name, one in series.items()}
    return {name: one for name, one in cut.items() if len(one.steps)}


def _until(older: Series, newer: Series | None) -> Series:
    return older if newer is None else _cut(older, int(newer.steps[0]))


def _cut(series: Series, step: int) -> Series:
    count = int(np.searchsorted(series.steps, step))
    return replace(series, steps=series.steps[:count], values=series.values[:count])


def _joined(older: Mapping[str, Series], newer: Mapping[str, Series]) -> dict[str, Series]:
    """Both, metric by metric; the older ones end before the newer begin."""
    both = {**older, **newer}
    for name in older.keys() & newer.keys():
        parts = (older[name], newer[name])
        steps, values = np.concatenate([one.steps for one in parts]), np.concatenate([one.values for one in parts])
        both[name] = series_of(name, steps, values, newer[name].source)
    return dict(sorted(both.items()))
