"""Who hands slots on: Debian's task-spooler, a plain spawn on exit, and the whole loop in three ways."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stamps import Stamps
from benchmarks.supervisor import Weight

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
STAMP_JOB = HERE / "stamp_job.py"
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The same work for everybody: `jobs` jobs that nap `nap_s` seconds each, on `slots` slots."""

    jobs: int
    nap_s: float
    slots: int = 2

    def env(self, stamps: Path) -> dict[str, str]:
        """The jobs' environment. Compiled files are kept, as they are wherever nobody forbade it."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "STAMPS": str(stamps), "NAP": str(self.nap_s)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """`run` does a race in an empty folder of its own."""

    name: str
    run: Callable[[Race, Path], Stamps]


def job_command() -> tuple[str, ...]:
    """The peers' own kind of job: bare Python."""
    return (sys.executable, "-S", str(STAMP_JOB))


def spawn_on_exit(race: Race, folder: Path) -> Stamps:
    """No queue, no database, no log: what the machine itself allows."""
    stamps, left, running = folder / "stamps", race.jobs, 0
    env, command = race.env(stamps), job_command()
    while left or running:
        while left and running < race.slots:
            os.posix_spawn(command[0], command, env)
            left, running = left - 1, running + 1
        os.wait()
        running -= 1
    return Stamps.read(stamps)


def task_spooler(race: Race, folder: Path) -> Stamps:
    """`tsp`, its queue filled while two jobs hold the slots, so that its clients cost the race nothing."""
    stamps, go = folder / "stamps", folder / "go"
    env = {**race.env(stamps), "TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder)}

    def tsp(*words: str) -> None:
        subprocess.run(("tsp", *words), env=env, check=True, stdout=subprocess.DEVNULL)

    tsp("-S", str(race.slots))
    try:
        for _ in range(race.slots):
            tsp("sh", "-c", f"while [ ! -e {go} ]; do sleep 0.01; done")
        for _ in range(race.jobs):
            tsp(*job_command())
        go.touch()
        wait_for(stamps, race.jobs)
    finally:
        tsp("-K")
    return Stamps.read(stamps)


def wait_for(file: Path, jobs: int) -> None:
    """Until all jobs have stamped their end."""
    until = time.monotonic() + _PATIENCE_S
    while len(Stamps.read(file).ends) < jobs:
        if time.monotonic() > until:
            raise TimeoutError(f"not all {jobs} jobs ended within {_PATIENCE_S} s")
        time.sleep(0.1)


def loop(*supervisor_flags: str) -> Callable[[Race, Path], Stamps]:
    """The whole loop, a process of its own: configs as files, durable ledger, summaries, report."""

    def run(race: Race, folder: Path) -> Stamps:
        stamps = folder / "stamps"
        supervise(folder, race, supervisor_flags, race.env(stamps))
        return Stamps.read(stamps)

    return run


def supervise(
    folder: Path, race: Race, flags: Sequence[str], env: Mapping[str, str], script: Path = STAMP_JOB
) -> Weight:
    """Run `benchmarks.supervisor` on a fresh project in `folder`; the figures that it gives of itself."""
    for number in range(race.jobs):
        (folder / f"job{number:03}.json").write_text(json.dumps({"lr": number + 1}))
    shutil.copy(HERE / "script.toml", folder)
    command = (sys.executable, "-m", "benchmarks.supervisor", str(script), str(race.jobs), str(race.slots), *flags)
    path = os.pathsep.join(filter(None, (str(ROOT), env.get("PYTHONPATH"))))
    with (folder / "supervisor.log").open("wb") as log:
        done = subprocess.run(
            command, cwd=folder, env={**env, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=log, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the supervisor left with {done.returncode}: {(folder / 'supervisor.log').read_text()}")
    return Weight(**json.loads(done.stdout.splitlines()[-1]))


TSP = Contestant(name="tsp", run=task_spooler)
SPAWN = Contestant(name="spawn on exit, no ledger", run=spawn_on_exit)
BARE = Contestant(name="auto_loop, bare", run=loop("--bare"))
KEPT = Contestant(name="auto_loop, keeper and runner", run=loop())
ACCELERATE = Contestant(name="auto_loop, accelerate launch", run=loop("--profile", "accelerate-script"))


def tsp_missing() -> str:
    """Why tsp cannot take part; empty when it can."""
    with suppress(OSError):
        subprocess.run(("tsp", "-V"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return ""
    return "tsp is not installed (Debian and Ubuntu: apt-get install task-spooler): nothing to compare with"
