"""How a job of a comparison is started: by the very command that `autorun` prints in its plan, one for each slot."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auto_loop.launch.accelerate import Layout, accelerate_config
from auto_loop.launch.environment import inherited
from auto_loop.launch.profile import Precision
from auto_loop.readers.registry import read_run
from benchmarks.strategy_design import Design

ROOT = Path(__file__).resolve().parent.parent
L1, PI_SUM = "eval/offline_eval/avg_l1", "train/ot_pi_sum"
_CONFIG, _OUTPUT = "--config_path=", "--output_dir="


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a job; times in unix seconds."""

    started: float
    ended: float
    returncode: int
    l1: float | None
    mass: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A slot's command line and the variables that it sets; config and output folder are put in for each job."""

    words: tuple[str, ...]
    env: Mapping[str, str]

    def of(self, config: str, output: str) -> list[str]:
        """The command for one job."""
        put = {_CONFIG: config, _OUTPUT: output}
        return [next((key + put[key] for key in put if word.startswith(key)), word) for word in self.words]


def make_project(folder: Path, config: Mapping[str, Any], data: Path) -> str:
    """An empty project with that config and the shared data; gives the config's place in it."""
    sweep(folder)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "outputs").mkdir(parents=True)
    (folder / "outputs" / "data").symlink_to(data.resolve(), target_is_directory=True)
    return write_config(folder, "act_ot_baseline", config)


def write_config(folder: Path, name: str, config: Mapping[str, Any]) -> str:
    """The config as a file of the project; gives its place in it."""
    place = folder / "train_configs" / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return place.relative_to(folder).as_posix()


def commands(folder: Path, config: Mapping[str, Any], design: Design, trainer: Sequence[str]) -> list[Command]:
    """The command of each slot, as the plan of one job a slot prints them; `trainer` as autorun is told of it."""
    names = [write_config(folder, f"slot{at}", config) for at in range(design.slots)]
    told = (sys.executable, "-m", "auto_loop.autorun", "--cfgs", *names, *design.job_words, *trainer)
    plan = subprocess.run(told, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    found = [line.split(maxsplit=1)[1] for line in plan.stdout.splitlines() if line.strip().startswith("command ")]
    if len(found) != design.slots:
        raise RuntimeError(f"autorun printed no plan for {design.slots} slots: {plan.stderr}{plan.stdout}")
    made = [_parsed(line) for line in found]
    for command in made:
        _write_accelerate_config(command)
    return made


def environment() -> dict[str, str]:
    """Ours, with the project on the path."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _parsed(line: str) -> Command:
    words = shlex.split(line)
    begin = next(at for at, word in enumerate(words) if "=" not in word.split("/")[0])
    return Command(words=tuple(words[begin:]), env=dict(word.split("=", 1) for word in words[:begin]))


def _write_accelerate_config(command: Command) -> None:
    """The file that autorun writes at its first launch; a plan writes nothing."""
    told = {key: value for key, _, value in (word.partition("=") for word in command.words)}
    if "--config_file" not in told:
        return  # another starter
    layout = Layout(processes=1, cpu="--cpu" in told, threads=1, precision=Precision(told["--mixed_precision"]))
    file = Path(told["--config_file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(accelerate_config(layout), encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A project folder with a command for each slot."""

    folder: Path
    slots: Sequence[Command]

    def run(self, slot: int, name: str, config: Mapping[str, Any], until: float | None = None) -> Result | None:
        """Train one config on one slot; None when it was not done by `until` (unix s) and was ended."""
        command, output = self.slots[slot], f"outputs/train/{name}"
        words = command.of(write_config(self.folder, name, config), output)
        env = {**inherited(environment()), **command.env}
        log = self.folder / ".codex_tmp" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        started = time.time()
        with log.open("wb") as file:
            process = subprocess.Popen(
                words, cwd=self.folder, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(None if until is None else max(0.0, until - time.time()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
        ended = time.time()
        l1, mass = measured(self.folder / output)
        return Result(started=started, ended=ended, returncode=code, l1=l1, mass=mass)

    def fill(self, work: Callable[[int], bool]) -> None:
        """Keep all slots busy: `work(slot)` does one job, and says whether to ask again. Raises what it raises."""
        stop = threading.Event()

        def serve(slot: int) -> None:
            try:
                while not stop.is_set() and work(slot):
                    pass
            finally:
                stop.set()

        try:
            with ThreadPoolExecutor(len(self.slots)) as pool:
                try:
                    served = [pool.submit(serve, slot) for slot in range(len(self.slots))]
                    for done in wait(served, return_when=FIRST_EXCEPTION).done:
                        done.result()
                finally:
                    stop.set()
                    if sys.exc_info()[0]:
                        sweep(self.folder)  # else the pool would wait for the jobs to end by themselves
        finally:
            sweep(self.folder)


def measured(folder: Path) -> tuple[float | None, float | None]:
    """A run's best held-out L1 and its last `pi_sum`, None where it has none."""
    reading = read_run(folder) if folder.is_dir() else None
    if reading is None:
        return None, None
    found = {name: series.values[np.isfinite(series.values)] for name, series in reading.series.items()}
    l1, mass = found.get(L1, np.empty(0)), found.get(PI_SUM, np.empty(0))
    return float(l1.min()) if l1.size else None, float(mass[-1]) if mass.size else None


def sweep(folder: Path) -> None:
    """End every process that works in `folder`: what a killed comparison, or a search at its budget's end, left."""
    for _ in range(100):
        left = list(_working_in(folder))
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    raise RuntimeError(f"processes that cannot be ended work in {folder}: {left}")


def _working_in(folder: Path) -> list[int]:
    home, found = folder.resolve(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            where = Path(os.readlink(place / "cwd"))
            gone = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if where.is_relative_to(home) and int(place.name) != os.getpid() and not gone:
            found.append(int(place.name))
    return found
