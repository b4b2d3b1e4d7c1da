"""Figures of what grows with a study: the cost of an event, and what the supervisor weighs after many rounds."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from auto_loop.domain.call import AutorunCall
from benchmarks.contestants import HERE, ROOT
from benchmarks.figure import Figure
from benchmarks.schedulers import STUDY, Work, project
from benchmarks.seeding import seed
from benchmarks.stamps import median

GOAL_RATIO, GOAL_MIB = 1.2, 60
SHORT, LONG = 100, 10_000
QUEUED, SLOTS = 200, 8


def event_figures(times: int) -> list[Figure]:
    """CPU time of the supervisor for a job's end and the next one's start, behind a short and a long past, in turns."""
    costs: dict[int, list[float]] = {SHORT: [], LONG: []}
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-") as folder:
        for done in costs:
            _seeded(Path(folder) / str(done), done)
        for turn in range(times):
            for done, found in costs.items():
                place = Path(folder) / f"{done}-{turn}"
                shutil.copytree(Path(folder) / str(done), place)
                found.append(1e3 * median(stub(place, "resume")["cpu_s"]))
                shutil.rmtree(place)
    what = f"CPU time of the supervisor for a job's end and the next one's start, median of {times} × {QUEUED} jobs"
    ratio = median(costs[LONG]) / median(costs[SHORT])
    return [
        Figure(what=what, who=f"auto_loop, behind {SHORT} jobs", value=median(costs[SHORT]), unit="ms", digits=2),
        Figure(
            what=what,
            who=f"auto_loop, behind {LONG:,} jobs",
            value=median(costs[LONG]),
            unit="ms",
            digits=2,
            goal=f"<= {GOAL_RATIO} × the other",
            reached=ratio <= GOAL_RATIO,
            note=f"{ratio:.2f} ×",
        ),
    ]


def round_figures(rounds: int) -> list[Figure]:
    """The supervising process after `rounds` rounds of 8 jobs, each decided by rules."""
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-") as folder:
        shutil.copy(HERE / "script.toml", folder)
        (Path(folder) / "train.py").write_text("raise SystemExit('never run')\n")
        found = stub(Path(folder), "rounds", str(rounds), str(SLOTS))
    path = ", ".join(f"{value:.0f}" for value in found["rss"])
    what = f"memory of the supervisor ({SLOTS} slots, {found['rounds']:,} rounds of {SLOTS} jobs)"
    rows = [
        ("resident (RSS)", max(found["rss"])),
        ("its share (PSS)", found["pss"]),
        ("highest ever (VmHWM)", found["peak"]),
    ]
    return [
        Figure(
            what=what,
            who=who,
            value=value,
            unit="MiB",
            goal=f"<= {GOAL_MIB} MiB",
            reached=value <= GOAL_MIB,
            note=f"by tenths of the way: {path}" if who.startswith("resident") else "",
        )
        for who, value in rows
    ]


def stub(folder: Path, *words: str) -> dict[str, Any]:
    """What a `benchmarks.stub_supervisor` in `folder` says of itself."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = (sys.executable, "-m", "benchmarks.stub_supervisor", *words)
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the supervisor left with {done.returncode}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _seeded(folder: Path, done: int) -> None:
    """A project whose loop has `done` jobs behind it and 200 before it."""
    folder.mkdir()
    work = Work(folder=folder, jobs=QUEUED, slots=SLOTS)
    project(work)
    script = folder / "train.py"
    script.write_text("raise SystemExit('never run')\n")
    names = tuple(f"job{number:03}.json" for number in range(QUEUED))
    call = AutorunCall(
        cfgs=names, profile="script.toml", train_script=script.name, device="cpu", concurrency=SLOTS, execute=True
    )
    seed(folder, call, STUDY, done)
