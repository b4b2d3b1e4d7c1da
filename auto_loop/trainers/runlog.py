"""A run's log as lines of JSON, each on disk as soon as it is written, and the averages that go into it."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class RunLog:
    """Appends `{"step": n, "<metric>": value, ...}` lines to a file.

    One write a line: a reader, or a crash, finds whole lines only. A non-finite value is written as JSON's usual
    extension (NaN, Infinity), for a reader has to see that it was there.
    """

    def __init__(self, place: Path, *, keep_to_step: int | None = None) -> None:
        """Open for appending; `keep_to_step` first drops lines of later steps, which a resumed run logs again."""
        place.parent.mkdir(parents=True, exist_ok=True)
        if keep_to_step is not None and place.exists():
            _drop_later(place, keep_to_step)
        self._descriptor = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        os.write(self._descriptor, (json.dumps({"step": step, **metrics}) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)


class Window:
    """Averages of what was added since the last `take`; names in `summed` are added up instead."""

    def __init__(self, summed: frozenset[str] = frozenset()) -> None:
        self._summed = summed
        self._values: dict[str, list[float]] = {}

    def add(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The window's metrics; the next window begins empty."""
        taken = {
            name: _total(values) / (1 if name in self._summed else len(values)) for name, values in self._values.items()
        }
        self._values = {}
        return taken

    def state(self) -> dict[str, Any]:
        return {name: list(values) for name, values in self._values.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._values = {name: list(values) for name, values in state.items()}


def _total(values: Sequence[float]) -> float:
    """Without rounding on the way: the average of one constant is that constant."""
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def _drop_later(place: Path, last_step: int) -> None:
    kept = [line for line in place.read_bytes().splitlines() if _step_of(line) <= last_step]
    aside = place.with_name(f".{place.name}.kept")
    aside.write_bytes(b"".join(line + b"\n" for line in kept))
    os.replace(aside, place)


def _step_of(line: bytes) -> float:
    """The line's step; a torn or foreign line counts as later than every step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")
