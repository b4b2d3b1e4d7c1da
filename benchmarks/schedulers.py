"""The schedulers whose process is killed: how each is begun on the same jobs, and begun again as its user would."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.job import Outcome
from auto_loop.ledger.reading import Reading
from benchmarks.contestants import HERE, ROOT, tsp_missing
from benchmarks.diary import environment

DIARY_JOB = HERE / "diary_job.py"
STUDY = "benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`jobs` diary jobs of `nap_s` seconds on `slots` slots, in an empty folder of their own."""

    folder: Path
    jobs: int = 12
    slots: int = 2
    nap_s: float = 1.0

    @property
    def diary(self) -> Path:
        """The file that the jobs append to."""
        return self.folder / "diary"

    @property
    def env(self) -> dict[str, str]:
        """The scheduler's environment, and so the jobs'."""
        return environment(self.diary, self.nap_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """`begin` starts it on all of the work and gives its process's pid.

    `again` starts it anew after a kill; None for one whose queue died with it. `collected` gives the jobs whose end it
    has written down itself: none, where a child can be waited for by its own parent alone.
    """

    name: str
    begin: Callable[[Work], int]
    again: Callable[[Work], "subprocess.Popen[bytes]"] | None = None
    collected: Callable[[Work], frozenset[str]] = lambda work: frozenset()


def autorun(work: Work, *words: str) -> "subprocess.Popen[bytes]":
    """The front door, as a user calls it, in a project of its own."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = (sys.executable, "-m", "auto_loop.autorun", "--study", STUDY, "--exec", *words)
    return _started(command, work, {"PYTHONPATH": path})


def project(work: Work, script: Path = DIARY_JOB) -> tuple[str, ...]:
    """Writes the configs and the profile; the options of the call that trains them."""
    names = [f"job{number:03}.json" for number in range(work.jobs)]
    for number, name in enumerate(names):
        (work.folder / name).write_text(json.dumps({"lr": number + 1}))
    shutil.copy(HERE / "script.toml", work.folder)
    placed = ("--device", "cpu", "--concurrency", str(work.slots))
    return ("--profile", "script.toml", "--train-script", str(script), *placed, "--cfgs", *names)


def begin_autorun(work: Work) -> int:
    """A new loop."""
    return autorun(work, *project(work)).pid


def resume_autorun(work: Work) -> "subprocess.Popen[bytes]":
    """The same loop, gone on with."""
    return autorun(work, "--resume")


def succeeded(work: Work) -> frozenset[str]:
    """The jobs of which the ledger says so."""
    with closing(Reading.open(work.folder / "outputs" / "ledger.sqlite3")) as reading:
        ended = {
            name: outcome for loop in reading.loops(STUDY) for name, outcome in reading.outcomes(loop.number).items()
        }
    return frozenset(name for name, outcome in ended.items() if outcome is Outcome.SUCCEEDED)


def begin_tsp(work: Work) -> int:
    """The server and a queue that holds all jobs."""
    env = _spooler_env(work)
    subprocess.run(("tsp", "-S", str(work.slots)), env=env, check=True, stdout=subprocess.DEVNULL)
    for name in _names(work):
        subprocess.run(("tsp", *_job_command(), name), env=env, check=True, stdout=subprocess.DEVNULL)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(env["TS_SOCKET"])
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def begin_sgs(peers: Path) -> Callable[[Work], int]:
    """simple-gpu-scheduler, with a number for each slot in a GPU's place, reading commands from a file."""

    def begin(work: Work) -> int:
        commands = work.folder / "commands"
        commands.write_text("".join(f"{' '.join(_job_command())} {name}\n" for name in _names(work)))
        gpus = map(str, range(work.slots))
        return _started((str(peers / "bin/simple_gpu_scheduler"), "--gpus", *gpus), work, {}, commands).pid

    return begin


def optuna(peers: Path) -> Callable[[Work], "subprocess.Popen[bytes]"]:
    """Optuna's driver, begun and begun again by the same command."""

    def start(work: Work) -> "subprocess.Popen[bytes]":
        python, driver = str(peers / "bin/python"), str(HERE / "optuna_driver.py")
        words = (python, driver, str(work.folder), str(work.jobs), str(work.slots), *_job_command())
        return _started(words, work, {})

    return start


OURS = Scheduler(name="auto_loop", begin=begin_autorun, again=resume_autorun, collected=succeeded)


def schedulers(peers: Path | None) -> tuple[list[Scheduler], list[str]]:
    """Ours and every peer that is here, and a note for each that is not. `peers` is their virtual environment."""
    here, notes = [OURS], []
    if tsp_missing():
        notes.append(tsp_missing())
    else:
        here.append(Scheduler(name="tsp", begin=begin_tsp))
    place = peers.expanduser().absolute() if peers else Path("/nonexistent")
    if (place / "bin/simple_gpu_scheduler").exists():
        here.append(Scheduler(name="simple-gpu-scheduler", begin=begin_sgs(place)))
    else:
        notes.append("simple-gpu-scheduler is not in the environment that --peers names: it takes no part")
    if any(place.glob("lib/python*/site-packages/optuna")):
        start = optuna(place)
        here.append(Scheduler(name="Optuna and Popen, SQLite", begin=lambda work: start(work).pid, again=start))
    else:
        notes.append("Optuna is not in the environment that --peers names: it takes no part")
    return here, notes


def _spooler_env(work: Work) -> dict[str, str]:
    return {**work.env, "TS_SOCKET": str(work.folder / "socket"), "TMPDIR": str(work.folder)}


def _names(work: Work) -> Sequence[str]:
    return [f"job{number:03}" for number in range(work.jobs)]


def _job_command() -> tuple[str, ...]:
    return (sys.executable, "-S", str(DIARY_JOB))


def _started(
    command: Sequence[str], work: Work, env: dict[str, str], stdin: Path | None = None
) -> "subprocess.Popen[bytes]":
    with (work.folder / "scheduler.log").open("ab") as log, (stdin or Path(os.devnull)).open("rb") as source:
        return subprocess.Popen(command, cwd=work.folder, env={**work.env, **env}, stdin=source, stdout=log, stderr=log)
