"""The jobs' own diary: how often each was executed, which gave a result, and what ran at a moment."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Line:
    """`kind` is `start` or `end`; `at` is in unix seconds."""

    kind: str
    job: str
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Diary:
    """What all jobs have written so far, in order of time."""

    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `kind job pid time` lines; a last one without its end is not counted."""
        whole = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        lines = (Line(kind, job, int(pid), float(at)) for kind, job, pid, at in whole)
        return cls(tuple(sorted(lines, key=lambda line: line.at)))

    @classmethod
    def read(cls, file: Path) -> Self:
        """The diary in `file`; an empty one where no job has begun yet."""
        return cls.parse(file.read_text() if file.exists() else "")

    @property
    def executions(self) -> Mapping[str, int]:
        """How often each job was started."""
        return Counter(line.job for line in self.lines if line.kind == "start")

    @property
    def results(self) -> frozenset[str]:
        """The jobs that reached their end at least once."""
        return frozenset(line.job for line in self.lines if line.kind == "end")

    @property
    def open(self) -> tuple[Line, ...]:
        """The starts without an end."""
        ended = {(line.job, line.pid) for line in self.lines if line.kind == "end"}
        starts = (line for line in self.lines if line.kind == "start")
        return tuple(line for line in starts if (line.job, line.pid) not in ended)

    def first_start_after(self, moment: float) -> float | None:
        """When the first job after `moment` began; None while there is none."""
        return next((line.at for line in self.lines if line.kind == "start" and line.at > moment), None)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def running(diary: Diary) -> tuple[Line, ...]:
    """The executions that are under way."""
    return tuple(line for line in diary.open if alive(line.pid))


def environment(diary: Path, nap_s: float) -> dict[str, str]:
    """This process's, with what `diary_job.py` wants to know. Compiled files are kept, as elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "DIARY": str(diary), "NAP": str(nap_s)}
