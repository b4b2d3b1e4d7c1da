"""Figures of the process itself: how soon `--help` is there, and what the supervisor weighs."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contestants import HERE, ROOT, Race, supervise
from benchmarks.figure import Figure
from benchmarks.stamps import median

GOAL_HELP_S, GOAL_MIB = 0.3, 60
WEIGHED_JOBS, WEIGHED_SLOTS = 52, 4
_GOES = 9
# What a supervisor has no business to load; numpy holds the series.
HEAVY = ("torch", "wandb", "pandas", "matplotlib", "numpy")


def help_figures() -> list[Figure]:
    """Wall time of `--help`, beside a bare interpreter and the import of click."""
    commands = {
        "python -c pass": ("-c", "pass"),
        "python -c 'import click'": ("-c", "import click"),
        "autorun --help": ("-m", "auto_loop.autorun", "--help"),
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_GOES):
        for name, words in commands.items():
            began = time.perf_counter()
            subprocess.run((sys.executable, *words), cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter() - began)
    seconds = {name: median(times) for name, times in took.items()}
    what = f"wall time, median of {_GOES}"
    figures = [Figure(what=what, who=name, value=value, unit="s", digits=3) for name, value in seconds.items()]
    reached = seconds["autorun --help"] <= GOAL_HELP_S
    return [*figures[:-1], _with_goal(figures[-1], f"<= {GOAL_HELP_S} s", reached)]


def _with_goal(figure: Figure, goal: str, reached: bool) -> Figure:
    return Figure(**{**figure.as_json(), "goal": goal, "reached": reached})  # type: ignore[arg-type] # its own fields


def memory_figures() -> list[Figure]:
    """The supervising process after many jobs with histories, all in one round: their series are still held."""
    race = Race(jobs=WEIGHED_JOBS, nap_s=0.0, slots=WEIGHED_SLOTS)
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-") as folder:
        place = Path(folder)
        found = supervise(place, race, ("--weigh",), race.env(place / "stamps"), HERE / "history_job.py")
    what = f"memory of the supervisor ({WEIGHED_SLOTS} slots, {WEIGHED_JOBS} jobs of 500 rows × 33 metrics, one round)"
    loaded = [name for name in HEAVY if name in found.modules]
    note = f"of the heavy packages it has loaded: {', '.join(loaded) or 'none'}"
    rows = [("resident (RSS)", found.rss), ("its share (PSS)", found.pss), ("highest ever (VmHWM)", found.peak)]
    goal = f"<= {GOAL_MIB} MiB"
    return [
        Figure(what=what, who="before any job, RSS", value=found.at_start, unit="MiB"),
        *(
            Figure(what=what, who=who, value=value, unit="MiB", goal=goal, reached=value <= GOAL_MIB, note=note)
            for who, value in rows
        ),
    ]
