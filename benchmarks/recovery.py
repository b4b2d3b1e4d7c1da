"""Figures of a SIGKILL of the scheduler: what is executed twice, what is orphaned, and how soon it goes on."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.call import AutorunCall
from benchmarks.diary import Diary, running
from benchmarks.figure import Figure
from benchmarks.schedulers import DIARY_JOB, OURS, STUDY, Scheduler, Work, project, resume_autorun, schedulers
from benchmarks.seeding import seed
from benchmarks.stamps import median

GOAL_FIRST_S, GOAL_FIRST_LONG_S = 0.35, 1.0
LONG = 10_000
_PATIENCE_S = 120.0
_KEEPERS_S = 2.0
# When the fourth job starts, both slots have handed on once; so long after it both are in the midst of a job.
_KILLED_AFTER_STARTS, _THEN_S = 4, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What one kill led to. `left` jobs ran on when the scheduler was dead; `orphans` are those of them that were
    executed again, or whose end no scheduler ever wrote down.
    """

    executions: int
    results: int
    left: int
    orphans: int


def recovery_figures(jobs: int, times: int, peers: Path | None) -> list[Figure]:
    """All schedulers that are here, in turns."""
    who, _ = schedulers(peers)
    survivals = {one.name: killed_once(one, jobs) for one in who}
    figures = [*_executions(survivals, jobs), *_orphans(survivals)]
    restarts = [one for one in who if one.again is not None]
    waits = in_turns(restarts, times, lambda one: first_dispatch(one, jobs))
    figures += _waits(f"SIGKILL to the first new job, median of {times} ({jobs} jobs)", waits, GOAL_FIRST_S)
    long = in_turns([OURS], times, lambda one: first_dispatch(one, jobs, done=LONG))
    return [*figures, *_waits(f"the same behind {LONG:,} jobs that are done", long, GOAL_FIRST_LONG_S)]


def killed_once(scheduler: Scheduler, jobs: int) -> Survival:
    """Kill the scheduler in the midst of its work, begin it again if it can go on, and count when it has ended."""
    with _folder() as folder:
        work = Work(folder=folder, jobs=jobs)
        pid = scheduler.begin(work)
        _until(lambda: len(_read(work).executions) >= min(_KILLED_AFTER_STARTS, jobs), work)
        time.sleep(_THEN_S)
        _kill(pid)
        left = running(_read(work))
        if scheduler.again is not None:
            scheduler.again(work).wait(_PATIENCE_S)
        _until(lambda: not running(_read(work)), work)
        diary = _read(work)
        collected = scheduler.collected(work)
        return Survival(
            executions=sum(diary.executions.values()),
            results=len(diary.results),
            left=len(left),
            orphans=sum(diary.executions[line.job] > 1 or line.job not in collected for line in left),
        )


def first_dispatch(scheduler: Scheduler, jobs: int, done: int = 0) -> float:
    """Seconds from the kill, at which the scheduler is begun again, to the first line of a new job's diary.

    The scheduler is held still (SIGSTOP) until its running jobs have ended, so that slots are free at the kill.
    """
    assert scheduler.again is not None
    with _folder() as folder:
        work = Work(folder=folder, jobs=jobs, nap_s=0.3)
        pid = _begin_behind(work, done) if done else scheduler.begin(work)
        _until(lambda: len(_read(work).executions) >= work.slots, work)
        os.kill(pid, signal.SIGSTOP)
        _until(lambda: not running(_read(work)), work)
        killed_at = time.time()
        _kill(pid)
        successor = scheduler.again(work)
        _until(lambda: _read(work).first_start_after(killed_at) is not None, work)
        started = _read(work).first_start_after(killed_at)
        successor.kill()
        successor.wait()
        _until(lambda: not running(_read(work)), work)
    assert started is not None
    return started - killed_at


def _begin_behind(work: Work, done: int) -> int:
    """Ours in an unfinished loop with `done` jobs behind it."""
    project(work)
    names = tuple(sorted(file.name for file in work.folder.glob("job*.json")))
    script = str(DIARY_JOB)
    call = AutorunCall(
        cfgs=names, profile="script.toml", train_script=script, device="cpu", concurrency=work.slots, execute=True
    )
    seed(work.folder, call, STUDY, done)
    return resume_autorun(work).pid


def in_turns(who: Sequence[Scheduler], times: int, measure: Callable[[Scheduler], float]) -> dict[str, list[float]]:
    """Each one's measures by its name, in turns, so that what else the machine does meets them all."""
    found: dict[str, list[float]] = {one.name: [] for one in who}
    for _ in range(times):
        for one in who:
            found[one.name].append(measure(one))
    return found


def _executions(survivals: dict[str, Survival], jobs: int) -> list[Figure]:
    what = f"executions for {jobs} results, one SIGKILL of the scheduler"
    return [
        Figure(
            what=what,
            who=name,
            value=found.executions,
            unit="",
            digits=0,
            goal=f"= {jobs}" if name == OURS.name else "",
            reached=found.executions == found.results == jobs if name == OURS.name else None,
            note="" if found.results == jobs else f"queue lost: {found.results} of {jobs} results",
        )
        for name, found in survivals.items()
    ]


def _orphans(survivals: dict[str, Survival]) -> list[Figure]:
    return [
        Figure(
            what="orphans left by the kill",
            who=name,
            value=found.orphans,
            unit="",
            digits=0,
            goal="= 0" if name == OURS.name else "",
            reached=found.orphans == 0 if name == OURS.name else None,
            note=f"of {found.left} running" + ("" if found.orphans else ", all taken over"),
        )
        for name, found in survivals.items()
    ]


def _waits(what: str, waits: dict[str, list[float]], goal_s: float) -> list[Figure]:
    return [
        Figure(
            what=what,
            who=name,
            value=median(each),
            unit="s",
            digits=3,
            goal=f"<= {goal_s} s" if name == OURS.name else "",
            reached=median(each) <= goal_s if name == OURS.name else None,
            note=f"{min(each):.3f} to {max(each):.3f}",
        )
        for name, each in waits.items()
    ]


def _read(work: Work) -> Diary:
    return Diary.read(work.diary)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # tsp's server is nobody's child
        os.waitpid(pid, 0)


def _until(condition: Callable[[], bool], work: Work) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            log = work.folder / "scheduler.log"
            raise TimeoutError(f"nothing came within {_PATIENCE_S:.0f} s: {log.read_text() if log.exists() else ''}")
        time.sleep(0.01)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is taken away when the keepers of a killed supervisor have left their last files in it."""
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        until = time.monotonic() + _KEEPERS_S
        while _unkept(Path(folder)) and time.monotonic() < until:
            time.sleep(0.01)


def _unkept(folder: Path) -> bool:
    """Whether an attempt has a claim and no exit yet."""
    claims = folder.glob(".codex_tmp/attempts/*.claim")
    return any(not claim.with_suffix(".exit").exists() for claim in claims)
