"""What jobs stamped on their way: from their own times to hand-offs, busy share and rate, the same for everybody."""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Stamps:
    """When each job began and ended its own work (unix s), both in order of time."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        """The stamps in a file that `stamp_job.py` jobs appended to; none when there is no file yet."""
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        at = {kind: sorted(float(words[2]) for words in lines if words[0] == kind) for kind in ("start", "end")}
        return cls(tuple(at["start"]), tuple(at["end"]))


def handoffs(stamps: Stamps, slots: int) -> list[float]:
    """Seconds from a job's end to its successor's start: each start after the first `slots` ones is paired with the
    earliest end that has no successor yet. Both starts of interpreters are in it, the same for every contestant.
    """
    free = deque(stamps.ends)
    return [start - free.popleft() for start in stamps.starts[slots:]]


def busy_share(stamps: Stamps, slots: int) -> float:
    """The part of the slots' time, from the first start to the last end, in which a job was at work."""
    worked = sum(stamps.ends) - sum(stamps.starts)
    return worked / (slots * (stamps.ends[-1] - stamps.starts[0]))


def rate(stamps: Stamps) -> float:
    """Jobs a second from the first start to the last end."""
    return len(stamps.ends) / (stamps.ends[-1] - stamps.starts[0])


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
