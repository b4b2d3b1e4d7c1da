"""Computed rules, nudging rules, random search and Optuna's TPE on the shipped workload, at the same budget:
`python -m benchmarks.strategies --peers ENV`.

Killed and begun again it goes on: each finished search and each confirming job is a file in the work folder.
"""

import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.strategy_confirm import confirm, confirmed, to_confirm, write_json
from benchmarks.strategy_design import Arm, Design, Search, search_of
from benchmarks.strategy_jobs import ROOT, environment, make_project
from benchmarks.strategy_search import Place, baseline, searched
from benchmarks.strategy_summary import Entry, summary


def main() -> None:
    asked = _parser().parse_args()
    design = Design(
        repeats=asked.repeats,
        budget=asked.budget,
        steps=asked.steps,
        slots=asked.slots,
        confirm=asked.confirm,
        seed=asked.seed,
        device=asked.device,
    )
    place = Place(work=asked.work.resolve(), peers=asked.peers / "bin" / "python")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as held:
        _hold(place.work, held)
        _same_design(design, place.work)
        optuna = _optuna_of(place.peers)
        searches = f"{design.repeats} × {len(Arm)} searches of {design.budget} slot-minutes on {design.slots} slots"
        _say(f"{searches}; expected on two quiet cores: {design.expected_minutes():.0f} minutes")
        _make_data(place)
        for repeat in range(1, design.repeats + 1):
            _repeat(repeat, design, place)
        _finish(design, place, asked.out or place.work / "strategies.json", {"optuna": optuna})


def _repeat(repeat: int, design: Design, place: Place) -> None:
    for arm in design.order(repeat):
        file = _search_file(place.work, repeat, arm)
        if not file.exists():
            _say(f"repeat {repeat}/{design.repeats}: {arm} ...")
            load = os.getloadavg()[0]
            found = searched(arm, repeat, design, place)
            write_json(file, asdict(replace(found, load=(load, os.getloadavg()[0]))))
            _drop(place.folder(f"{repeat}-{arm.name.lower()}"))
        _say(f"repeat {repeat}/{design.repeats}: {_told(_read(file))}")
    searches = [_read(_search_file(place.work, repeat, arm)) for arm in Arm]
    configs = to_confirm(searches, design, repeat)
    _say(f"repeat {repeat}/{design.repeats}: {len(configs)} configs on {design.confirm} fresh seeds ...")
    confirm(configs, repeat, design, place, place.work / "results")
    _drop(place.folder(f"{repeat}-confirmation"))


def _finish(design: Design, place: Place, out: Path, versions: Mapping[str, str]) -> None:
    entries: dict[Arm, list[Entry]] = {arm: [] for arm in Arm}
    unchanged: list[float | None] = []
    for repeat in range(1, design.repeats + 1):
        for arm in Arm:
            entries[arm].append(_entry(_read(_search_file(place.work, repeat, arm)), design, place))
        blank = Search(arm=Arm.COMPUTED, repeat=repeat, launched=0)
        base = _values(baseline(0), repeat, design, place)
        unchanged.append(Entry(search=blank, confirmed=base).confirmed_l1)
    table = summary(entries, unchanged, design)
    machine = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **versions,
    }
    made = {
        "machine": machine,
        "design": asdict(design),
        "searches": [asdict(entry) for arm in Arm for entry in entries[arm]],
        "baseline": unchanged,
        "table": table,
    }
    write_json(out, made)
    print(
        "\n".join(
            ["", ", ".join(f"{name} {value}" for name, value in machine.items()), "", table, "", f"all of it: {out}"]
        )
    )


def _entry(search: Search, design: Design, place: Place) -> Entry:
    best = search.best
    return Entry(search=search, confirmed=_values(best.config, search.repeat, design, place) if best else ())


def _values(config: Mapping[str, Any], repeat: int, design: Design, place: Place) -> tuple[float | None, ...]:
    return tuple(one["l1"] for one in confirmed(config, repeat, design, place.work / "results"))


def _told(search: Search) -> str:
    alive, best = search.first_alive, search.best
    mass = f"mass at {alive.minutes:.2f} (round {alive.round})" if alive else "no mass"
    seen = f"best L1 {best.l1:.4f} at {best.minutes:.2f}" if best else "no L1"
    early = "" if search.done_at is None else f", nothing left to propose at {search.done_at:.2f}"
    return f"{search.arm}: {len(search.jobs)} jobs, {mass}, {seen}{early}"


def _search_file(work: Path, repeat: int, arm: Arm) -> Path:
    return work / "results" / f"search-{repeat}-{arm.name.lower()}.json"


def _read(file: Path) -> Search:
    return search_of(json.loads(file.read_text(encoding="utf-8")))


def _make_data(place: Place) -> None:
    """Let the trainer make its demonstrations once, by a job of one step."""
    complete = place.data / "complete"
    if complete.exists():
        return
    place.data.mkdir(parents=True, exist_ok=True)
    _say("making the demonstrations (once, about a minute) ...")
    folder = place.folder("data")
    config = make_project(folder, baseline(0), place.data)
    trainer = str(ROOT / "auto_loop" / "trainers" / "act" / "train.py")
    told = (sys.executable, trainer, f"--config_path={config}", "--steps=1", "--output_dir=out", "--wandb.enable=false")
    subprocess.run(told, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    complete.touch()
    _drop(folder)


def _same_design(design: Design, work: Path) -> None:
    file = work / "design.json"
    if not file.exists():
        write_json(file, asdict(design))
    if (stored := json.loads(file.read_text(encoding="utf-8"))) != asdict(design):
        sys.exit(
            f"{work} holds a comparison of another design: {stored}; name another folder with --work, or remove it"
        )


def _hold(work: Path, held: ExitStack) -> None:
    work.mkdir(parents=True, exist_ok=True)
    lock = held.enter_context((work / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another comparison runs in {work}")


def _optuna_of(python: Path) -> str:
    told = (str(python), "-c", "import optuna; print(optuna.__version__)")
    try:
        return subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(f"{python} has no Optuna: python -m venv ENV && ENV/bin/pip install optuna==5.0.0, and --peers ENV")


def _drop(folder: Path) -> None:
    """A project whose results are kept: some megabytes a job."""
    shutil.rmtree(folder, ignore_errors=True)


_BEGAN = time.monotonic()


def _say(text: str) -> None:
    minutes, seconds = divmod(round(time.monotonic() - _BEGAN), 60)
    print(f"[{minutes:02}:{seconds:02}] {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="a virtual environment with Optuna")
    parser.add_argument("--repeats", type=_at_least_one, default=5, help="repeats of each search  [default: 5]")
    parser.add_argument("--budget", type=float, default=2.4, help="slot-minutes of each search  [default: 2.4]")
    parser.add_argument("--steps", type=_at_least_one, default=200, help="steps of each job  [default: 200]")
    parser.add_argument("--slots", type=_at_least_one, default=2, help="jobs at a time  [default: 2]")
    parser.add_argument("--confirm", type=_at_least_one, default=3, help="fresh seeds for each best  [default: 3]")
    parser.add_argument("--seed", type=int, default=7000, help="where the seeds begin  [default: 7000]")
    parser.add_argument("--device", default="auto", help="as autorun's  [default: auto]")
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "benchmarks" / "strategies", help="work folder")
    parser.add_argument("--out", type=Path, help="where the JSON goes  [default: strategies.json in the work folder]")
    return parser


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    main()
