"""Figures of the steady state: how busy the slots are without rounds, against the same search with rounds."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from auto_loop.domain.history import History
from auto_loop.ledger.reading import Reading
from benchmarks.contestants import HERE, ROOT
from benchmarks.figure import Figure
from benchmarks.schedulers import STUDY
from benchmarks.stamps import median

GOAL_BUSY = 97.0
SLOTS = 4
# Four ways on from every config, and no config comes twice.
PACK = """
[objective]
metric = "eval/loss"
direction = "lower"
""" + "".join(
    f"""
[[rule]]
name = "by {factor}"
when = 'last("eval/loss") > 0'
change = {{ "lr@mul" = {factor} }}
reason = "loss ended at {{last('eval/loss')}}"
group = "lr by {factor}"
"""
    for factor in (0.31, 0.71, 1.37, 3.7)
)
Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """When each job was at work by its own stamps, and when a proposal or a job waited for a slot."""

    work: tuple[Span, ...]
    waits: tuple[Span, ...]

    @property
    def window(self) -> Span:
        """From the first launch to the last dispatch."""
        starts = [start for start, _ in self.work]
        return min(starts), max(starts)


def steady_figures(rounds: int, times: int) -> list[Figure]:
    """The busy share of the slots from the first launch to the last dispatch, in turns."""
    runs: dict[str, list[Run]] = {"--steady": [], "rounds": []}
    for _ in range(times):
        for kind, found in runs.items():
            with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-") as folder:
                found.append(searched(Path(folder), rounds, ["--steady"] if kind == "--steady" else []))
    jobs = len(runs["rounds"][0].work)
    what = f"busy share of the slots ({SLOTS} slots, {times} × {jobs} jobs of 0.5 to 2 s)"
    waited = median([100 * busy(one, one.waits) for one in runs["--steady"]])
    plain = {kind: median([100 * busy(one, [one.window]) for one in found]) for kind, found in runs.items()}
    return [
        Figure(
            what=what,
            who="auto_loop --steady, while proposals wait",
            value=waited,
            unit="%",
            goal=f">= {GOAL_BUSY:.0f} %",
            reached=waited >= GOAL_BUSY,
        ),
        Figure(what=what, who="auto_loop --steady", value=plain["--steady"], unit="%"),
        Figure(what=what, who="auto_loop, with rounds", value=plain["rounds"], unit="%"),
    ]


def busy(run: Run, spans: Iterable[Span]) -> float:
    """The part of the slots' time in which a job was at work, within the window and while one of `spans` held."""
    begin, end = run.window
    wanted = [(max(begin, start), min(end, stop)) for start, stop in spans]
    marks = sorted({at for span in (*wanted, *run.work) for at in span if begin <= at <= end})
    time_s = worked = 0.0
    for left, right in pairwise(marks):
        if any(start <= left < stop for start, stop in wanted):
            time_s += SLOTS * (right - left)
            worked += sum(start <= left < stop for start, stop in run.work) * (right - left)
    return worked / time_s if time_s else 0.0


def searched(folder: Path, rounds: int, words: Sequence[str]) -> Run:
    """One search, carried out by the front door in a process of its own."""
    names = [f"job{number}.json" for number in range(SLOTS)]
    for number, name in enumerate(names):
        (folder / name).write_text(json.dumps({"lr": 1.0 + number / 7}))
    (folder / "pack.toml").write_text(PACK)
    shutil.copy(HERE / "script.toml", folder)
    command = [sys.executable, "-m", "auto_loop.autorun", "--study", STUDY, "--exec", "--decide", *words]
    command += ["--pack", "pack.toml", "--profile", "script.toml", "--train-script", str(HERE / "steady_job.py")]
    command += ["--device", "cpu", "--concurrency", str(SLOTS), "--rounds", str(rounds), "--cfgs", *names]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**kept, "PYTHONPATH": path, "STAMPS": str(folder / "stamps")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the search left with {done.returncode}: {done.stdout}{done.stderr}")
    with closing(Reading.open(folder / "outputs" / "ledger.sqlite3")) as reading:
        return run_of(reading.history(STUDY), stamped(folder / "stamps"))


def stamped(file: Path) -> dict[str, Span]:
    """When each job was at work, by its name."""
    at: dict[str, dict[str, float]] = {"start": {}, "end": {}}
    for line in file.read_text().splitlines():
        kind, name, when = line.split()
        at[kind][name] = float(when)
    return {name: (start, at["end"][name]) for name, start in at["start"].items()}


def run_of(history: History, work: Mapping[str, Span]) -> Run:
    """The run's spans. A proposal waits from its decision until its job is at work; its start is no excuse."""
    names = {job.id: job.name for job in history.jobs}
    decided = {one.id: one.at for one in history.decisions}
    waits = [
        (decided[one.decision], work[names[one.child]][0])
        for one in history.proposals
        if one.child is not None and one.decision in decided
    ]
    return Run(work=tuple(work.values()), waits=tuple(waits))
