"""The readers, best source first, and what they give together: one source wins whole for a run."""

from dataclasses import replace
from pathlib import Path

from auto_loop.readers.base import Cursor, Point, Reader, Reading
from auto_loop.readers.final_only import FinalOnly
from auto_loop.readers.url import DEFAULT_BASE_URL, recorded_url
from auto_loop.readers.wandb_datastore import wandb_datastore
from auto_loop.readers.wandb_history import wandb_history
from auto_loop.readers.windows import Windows

# In the order of `Source`: the first that has numbers wins.
READERS: tuple[Reader, ...] = (wandb_history(), Windows(), wandb_datastore(), FinalOnly())


def read_run(folder: Path, base_url: str = DEFAULT_BASE_URL) -> Reading | None:
    """Everything that a run's folder holds, from the best source that has numbers in it; None when none has.

    Notes of sources that were tried in vain come with it, so that damage is not passed over in silence.
    `base_url` is where W&B's pages of online runs are.
    """
    notes: list[str] = []
    for reader in READERS:
        if not reader.can_read(folder):
            continue
        reading = reader.read(folder)
        if reading.series:
            url = recorded_url(folder, reading.run_id, base_url) if reading.run_id else ""
            return replace(reading, wandb_url=url, notes=(*notes, *reading.notes))
        notes.extend(reading.notes)
    return None


def tail_run(folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor | None]:
    """The points that came since `cursor`, and the cursor for the next call; None stands for the beginning.

    The first source that has a point is kept for the rest of the run: a second one is never mixed in. A long backlog
    comes in slices: call again while there are points.
    """
    if cursor is not None:
        reader = next(reader for reader in READERS if reader.source is cursor.source)
        return reader.tail(folder, cursor)
    for reader in READERS:
        if reader.can_read(folder):
            points, begun = reader.tail(folder, None)
            if points:
                return points, begun
    return [], None


def looked_for(folder: Path) -> tuple[str, ...]:
    """The files in which metrics were looked for, as a person would name them."""
    return tuple(name for reader in READERS for name in reader.looked_for(folder))
