"""The books of a night: what the ledger, the claims, the trainers' diary and /proc say, held against each other.

Pure: `evidence.gather` looks, `audit` judges. A night without a fault has empty columns everywhere.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from auto_loop.domain.history import History
from auto_loop.domain.job import Attempt, Job, JobState, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the trainers' diary. `visible` is CUDA_VISIBLE_DEVICES, empty on the CPU."""

    at: float
    what: str
    pid: int
    token: str
    visible: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was found when a night was over.

    `claims` are the tokens of the claims that are no tombstones, by their file; `processes` are command lines of what
    still lived, by pid; `held` are locks that nobody should hold any more; `left` are files written aside and left
    there; `cries` are tracebacks and exit codes of supervisors that nobody had killed.
    """

    history: History
    claims: Mapping[str, str]
    diary: Sequence[Line]
    processes: Mapping[int, str] = field(default_factory=dict)
    held: Sequence[str] = ()
    left: Sequence[str] = ()
    cries: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is wrong with a night, by kind, in words; and how much was run."""

    jobs: int
    results: int
    executions: int
    attempts: int
    faults: Mapping[str, tuple[str, ...]]

    @property
    def clean(self) -> bool:
        """Whether no fault of any kind was found."""
        return not any(self.faults.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One trainer's life by the diary; `end` is infinite when it never said that it ended."""

    token: str
    output: str
    visible: str
    start: float
    end: float


def audit(evidence: Evidence, *, may_lose_attempts: bool = False) -> Books:
    """The books. With `may_lose_attempts` (keepers were killed as well) a job may have LOST attempts before its end."""
    jobs, runs = evidence.history.jobs, _runs(evidence.diary)
    attempts = [attempt for job in jobs for attempt in job.attempts]
    faults = {
        "lost results": _lost(evidence, runs, may_lose_attempts),
        "repeated executions": [*_repeated(evidence, attempts, may_lose_attempts), *_at_once(jobs, runs)],
        "orphans": [f"{pid}: {words}" for pid, words in evidence.processes.items()],
        "stuck states": _stuck(evidence, attempts),
        "double bookings": _double_booked(attempts, runs),
        "files left aside": [file for file in evidence.left if not (may_lose_attempts and _of_a_keeper(file))],
        "supervisors that failed": list(evidence.cries),
    }
    return Books(
        jobs=len(jobs),
        results=sum(job.outcome is Outcome.SUCCEEDED for job in jobs),
        executions=len(evidence.claims),
        attempts=len(attempts),
        faults={kind: tuple(found) for kind, found in faults.items()},
    )


def _of_a_keeper(file: str) -> bool:
    """Whether a keeper wrote it: one that is killed over its exit cannot take it away."""
    return file.startswith(".codex_tmp/attempts/") and not file.endswith(".tombstone")


def _runs(diary: Iterable[Line]) -> list[_Run]:
    ends = {(line.token, line.pid): line.at for line in diary if line.what == "end"}
    return [
        _Run(
            token=line.token,
            output=line.output,
            visible=line.visible,
            start=line.at,
            end=ends.get((line.token, line.pid), float("inf")),
        )
        for line in diary
        if line.what == "start"
    ]


def _lost(evidence: Evidence, runs: Iterable[_Run], may_lose_attempts: bool) -> list[str]:
    ended = {run.token for run in runs if run.end < float("inf")}
    found = []
    for job in evidence.history.jobs:
        last = job.last_attempt
        if job.state is not JobState.DONE or last is None:
            found.append(f"{job.name} is {job.state} at the end")
        elif job.outcome is not Outcome.SUCCEEDED:
            if not (may_lose_attempts and job.outcome is Outcome.LOST):
                found.append(f"{job.name} ended {job.outcome}: {last.cause}")
        elif last.token not in ended:
            found.append(f"{job.name} counts as succeeded, and its trainer never came to its end")
        elif job.id not in evidence.history.summaries:
            found.append(f"{job.name} succeeded and has no summary")
    return found


def _repeated(evidence: Evidence, attempts: Sequence[Attempt], may_lose_attempts: bool) -> list[str]:
    known = {attempt.token for attempt in attempts}
    found = [f"claim {file} is of no attempt" for file, token in evidence.claims.items() if token not in known]
    starts = [line for line in evidence.diary if line.what == "start"]
    found += [f"{line.output} was started by no attempt" for line in starts if line.token not in known]
    found += _more_than_once("token", Counter(line.token for line in starts))
    found += _more_than_once("output folder", Counter(line.output for line in starts))
    claimed = set(evidence.claims.values())
    for job in evidence.history.jobs:
        executed = [attempt for attempt in job.attempts if attempt.token in claimed]
        if any(attempt.outcome is Outcome.SUCCEEDED for attempt in job.attempts[:-1]):
            found.append(f"{job.name} was tried again after it had succeeded")
        if len(executed) > 1 and not may_lose_attempts:
            found.append(f"{job.name} was executed {len(executed)} times")
        if any(attempt.outcome is not Outcome.LOST for attempt in executed[:-1]):
            found.append(f"{job.name} was executed again after an attempt that was not lost")
    return found


def _more_than_once(what: str, counted: Mapping[str, int]) -> list[str]:
    return [f"{what} {name} was started {count} times" for name, count in counted.items() if count > 1]


def _at_once(jobs: Iterable[Job], runs: Iterable[_Run]) -> list[str]:
    """Two executions of one job that overlap."""
    owner = {attempt.token: job.name for job in jobs for attempt in job.attempts}
    return [f"job {name}: {text}" for name, text in _overlaps(runs, lambda run: [owner.get(run.token, run.token)])]


def _double_booked(attempts: Iterable[Attempt], runs: Iterable[_Run]) -> list[str]:
    """Two executions at once on one GPU, by what they saw themselves, or on one slot without any."""
    slots = {attempt.token: attempt.slot for attempt in attempts}

    def places(run: _Run) -> list[str]:
        return [f"GPU {gpu}" for gpu in run.visible.split(",") if gpu] or [f"slot {slots.get(run.token)}"]

    return [f"{place}: {text}" for place, text in _overlaps(runs, places)]


def _overlaps(runs: Iterable[_Run], keys: Callable[[_Run], list[str]]) -> list[tuple[str, str]]:
    by_key: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        for key in keys(run):
            by_key[key].append(run)
    found = []
    for key, there in by_key.items():
        for one, other in pairwise(sorted(there, key=lambda run: run.start)):
            if other.start < one.end < float("inf"):
                found.append((key, f"{other.output} began {one.end - other.start:.3f} s before {one.output} ended"))
    return found


def _stuck(evidence: Evidence, attempts: Iterable[Attempt]) -> list[str]:
    found = [f"loop {loop.number} is unfinished" for loop in evidence.history.loops if loop.ended_at is None]
    found += [f"attempt {attempt.id} is open" for attempt in attempts if attempt.outcome is None]
    return found + [f"{file} is still locked" for file in evidence.held]
