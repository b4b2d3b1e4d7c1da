"""One arm under its budget: a search with all slots always full, or the real loop with a pack of rules."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.job import Attempt, Job, Outcome
from auto_loop.ledger.reading import Reading
from benchmarks.strategy_design import Arm, Design, JobRecord, Search
from benchmarks.strategy_jobs import ROOT, Bench, commands, environment, make_project, measured, sweep
from benchmarks.strategy_space import OptunaSampler, RandomSampler, Sampler, applied, values_of

STUDY = "search"
PACKS = {Arm.COMPUTED: "act_ot", Arm.NUDGING: str(ROOT / "benchmarks" / "packs" / "nudging.toml")}
_LATE_S = 1.0
"""An end within the budget may reach the ledger a moment after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where searches run, and with what: the work folder, the interpreter that has Optuna, the trainer's options."""

    work: Path
    peers: Path
    trainer: tuple[str, ...] = ("--profile=act_ot",)

    @property
    def data(self) -> Path:
        """The demonstrations, shared by all."""
        return self.work / "data"

    def folder(self, name: str) -> Path:
        """A project folder of that name."""
        return self.work / "runs" / name


def searched(arm: Arm, repeat: int, design: Design, place: Place) -> Search:
    """Run one arm until its budget is spent."""
    config = baseline(design.search_seed(repeat))
    folder = place.folder(f"{repeat}-{arm.name.lower()}")
    cfg = make_project(folder, config, place.data)
    if arm in PACKS:
        return _by_rules(arm, repeat, design, folder, (cfg, *place.trainer))
    first = values_of(config)
    seed = design.search_seed(repeat)
    sampler = OptunaSampler(place.peers, seed, first) if arm is Arm.TPE else RandomSampler(seed, first)
    bench = Bench(folder=folder, slots=commands(folder, config, design, place.trainer))
    with closing(sampler):
        return _by_sampler(arm, repeat, design, bench, sampler)


def baseline(seed: int) -> dict[str, Any]:
    """The shipped baseline, whose transport is dead, with that seed."""
    text = (ROOT / "train_configs" / "act_ot_baseline.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return {**config, "seed": seed}


# ------------------------------------------------------------------------------------- a search by a sampler


def _by_sampler(arm: Arm, repeat: int, design: Design, bench: Bench, sampler: Sampler) -> Search:
    start = baseline(design.search_seed(repeat))
    alone, jobs, launched = threading.Lock(), list[JobRecord](), 0
    began = time.time()
    until = began + design.wall_s

    def work(slot: int) -> bool:
        nonlocal launched
        with alone:
            number, values = sampler.ask()
            launched += 1
            name, round = f"job{launched:03}", -(-launched // design.slots)
        config = applied(start, values)
        result = bench.run(slot, name, config, until)
        if result is None or result.ended > until:
            return False
        succeeded = result.returncode == 0 and result.l1 is not None
        with alone:
            sampler.tell(number, result.l1 if succeeded else None)
            jobs.append(
                JobRecord(
                    name=name,
                    round=round,
                    minutes=design.slot_minutes(result.ended - began),
                    succeeded=succeeded,
                    l1=result.l1,
                    mass=result.mass,
                    config=config,
                )
            )
        return True

    bench.fill(work)
    return Search(arm=arm, repeat=repeat, launched=launched, jobs=tuple(sorted(jobs, key=lambda job: job.minutes)))


# ------------------------------------------------------------------------------------- the loop by its rules


def _by_rules(arm: Arm, repeat: int, design: Design, folder: Path, words: tuple[str, ...]) -> Search:
    told = [sys.executable, "-m", "auto_loop.autorun", "--cfgs", *words, *design.job_words]
    told += [f"--pack={PACKS[arm]}", f"--study={STUDY}", "--decide", "--rounds=1000", f"--round-size={design.slots}"]
    told += [f"--variants-per-run={max(2, design.slots)}", "--retries=0", "--quiet", "--exec"]
    log, ledger = folder / "autorun.log", folder / "outputs" / "ledger.sqlite3"
    with log.open("wb") as file:
        loop = subprocess.Popen(told, cwd=folder, env=environment(), stdout=file, stderr=subprocess.STDOUT)
        try:
            began = _first_launch(loop, ledger)
            code = _waited(loop, began + design.wall_s + _LATE_S)
        finally:
            loop.kill()
            loop.wait()
            sweep(folder)
    if code not in (None, 0, 1):
        raise RuntimeError(f"autorun left with {code} ({arm}): {log.read_text(encoding='utf-8', errors='replace')}")
    ended = [(job, attempt) for job in _jobs(ledger) if (attempt := job.last_attempt)]
    done = [(job, attempt) for job, attempt in ended if (attempt.ended_at or float("inf")) <= began + design.wall_s]
    records = [
        _record(job, attempt, design.slot_minutes((attempt.ended_at or 0) - began), folder) for job, attempt in done
    ]
    records.sort(key=lambda job: job.minutes)
    spent = code is not None and len(done) == len(ended)
    done_at = records[-1].minutes if spent and records else None
    return Search(arm=arm, repeat=repeat, launched=len(ended), jobs=tuple(records), done_at=done_at)


def _waited(loop: "subprocess.Popen[bytes]", until: float) -> int | None:
    """The exit code of a loop that had nothing left to propose; None for one that the budget's end ended."""
    try:
        return loop.wait(max(0.0, until - time.time()))
    except subprocess.TimeoutExpired:
        return None


def _first_launch(loop: "subprocess.Popen[bytes]", ledger: Path) -> float:
    """When the loop launched its first job (unix s)."""
    while True:
        code = loop.poll()
        if begun := _launches(ledger):
            return min(begun)
        if code is not None:
            said = (ledger.parents[1] / "autorun.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"autorun left with {code} before its first job: {said}")
        time.sleep(0.1)


def _launches(ledger: Path) -> list[float]:
    """When each job was launched; empty while there is no study yet."""
    if not ledger.exists():
        return []
    try:
        return [one.started_at for job in _jobs(ledger) for one in job.attempts if one.started_at is not None]
    except AutoLoopError:
        return []


def _jobs(ledger: Path) -> tuple[Job, ...]:
    """The study's jobs."""
    with closing(Reading.open(ledger)) as reading:
        return reading.history(STUDY).jobs


def _record(job: Job, attempt: Attempt, minutes: float, folder: Path) -> JobRecord:
    l1, mass = measured(folder / attempt.output_dir)
    why = job.origin.rule or job.origin.reason
    config: Mapping[str, Any] = job.config.data()
    return JobRecord(
        name=job.name,
        round=job.round,
        minutes=minutes,
        succeeded=job.outcome is Outcome.SUCCEEDED and l1 is not None,
        l1=l1,
        mass=mass,
        why=why,
        config=dict(config),
    )
