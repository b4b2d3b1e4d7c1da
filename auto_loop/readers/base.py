"""What a reader is: the seam for one kind of file that a run leaves its metrics in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from auto_loop.domain.series import Series, Source


class Row(NamedTuple):
    """What one log call said: finite or not, numbers only. `names` and `values` have one length."""

    step: int
    names: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One new value of one metric."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A whole run as one source told it. `notes` say what was damaged, torn or left aside, one sentence each.

    `run_id` and `wandb_url` are empty for sources that are not W&B's, and the URL for runs that were offline.
    """

    source: Source
    series: Mapping[str, Series] = field(default_factory=dict)
    run_id: str = ""
    wandb_url: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """How far one file was read: `offset` bytes of the file that had this `inode`; a new inode begins again at 0.

    `rows` counts them, and `step` is the last one that a row showed: for rows without a step of their own.
    """

    inode: int
    offset: int
    rows: int = 0
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a tail goes on. Opaque to everyone but the readers; its size does not grow with the history.

    `counts` and `clock` belong to the choice of the step: points seen by metric, and the trainer's last logged step
    by its column.
    """

    source: Source
    files: Mapping[str, FilePlace] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    clock: Mapping[str, int] = field(default_factory=dict)


class Reader(Protocol):
    """One kind of file that holds a run's metrics. Damage is told in the notes, never raised."""

    @property
    def source(self) -> Source:
        """What its series are marked with."""

    def looked_for(self, folder: Path) -> tuple[str, ...]:
        """The files it would read below a run's folder, as a person would name them."""

    def can_read(self, folder: Path) -> bool:
        """Whether any of its files is there (it may still hold nothing)."""

    def read(self, folder: Path) -> Reading:
        """Everything that is there."""

    def tail(self, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
        """What came since `cursor`, at the cost of what is new; None begins at the start."""
