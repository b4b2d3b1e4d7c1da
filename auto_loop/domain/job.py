"""Jobs and attempts: what is to be trained, and each process that was started for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType, Self

from auto_loop.domain.config import Config, Json
from auto_loop.domain.failure import Failure

JobId = NewType("JobId", int)
AttemptId = NewType("AttemptId", int)

# Proposers of jobs that no proposal of a round led to: one that takes a failed job's place in its round, the successor
# that a live rule starts, the same config under another seed, and the runs on fresh seeds that confirm a winner.
REMEDY, FORK, REPEAT, CONFIRMATION = "remedy", "live rule", "repeat", "confirmation"


class JobState(StrEnum):
    """Where a job stands; how it ended is its `Outcome`."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"


class Outcome(StrEnum):
    """How an attempt ended, and, by its last attempt, a job."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Why a config exists: its parent, the edits that made it (normal form), and the reason given."""

    parent: JobId | None = None
    parent_cfg: str = ""
    proposer: str = ""
    rule: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """What identifies a running attempt for its launcher, across a restart of the supervisor.

    Local: pid, its start time (clock ticks after boot, field 22 of /proc/PID/stat) and the boot id.
    """

    launcher: str
    pid: int = 0
    start_time: int = 0
    boot_id: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the process of an attempt ended.

    `returncode` follows `subprocess` (negative: a signal); None when nobody could see it. `inner` is the
    cause from inside the trainer's process ("OutOfMemoryError: ..."), which counts before the launcher's own.
    `ended_at` is when the last process of it was gone, `leader_ended_at` when the command itself had ended (None: not
    known), which what it left behind can outlive by minutes.
    """

    returncode: int | None
    ended_at: float
    inner: str = ""
    error: str = ""
    leader_ended_at: float | None = None


class StopCause(StrEnum):
    """Who or what asked an attempt to stop."""

    PERSON = "person"
    START_TIMEOUT = "start timeout"
    STALL = "stall"
    JOB_TIMEOUT = "job timeout"
    MAX_HOURS = "max hours"
    RULE = "live rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopIntent:
    """That an attempt is to stop: SIGTERM at `at` (unix s), SIGKILL to its whole tree `grace_s` later.

    It is written down before the first signal, so that whoever takes over goes on with it; `sent` after it, for a
    trainer that is told twice may end before it has saved.
    """

    at: float
    cause: StopCause
    text: str
    grace_s: float
    sent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended, as it is judged: `outcome`, its `cause` in words, and the last lines of its log.

    `failure` is the class of an end that did not go well; None when it succeeded or was stopped on request.
    """

    ended_at: float
    outcome: Outcome
    failure: Failure | None = None
    returncode: int | None = None
    cause: str = ""
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """An attempt before the ledger has given it a number: the intent to start a process.

    `request` is the launch request as it would be printed (secrets masked), kept for the person who looks back.
    """

    job: JobId
    slot: int
    token: str
    command: tuple[str, ...]
    output_dir: str
    log_file: str
    claim_file: str
    exit_file: str
    gpus: tuple[str, ...] = ()
    request: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process for a job, from the intent to start it to its end. Times are unix seconds."""

    id: AttemptId
    job: JobId
    number: int
    slot: int
    gpus: tuple[str, ...]
    token: str
    command: tuple[str, ...]
    output_dir: str
    log_file: str
    claim_file: str
    exit_file: str
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    handle: Handle | None = None
    stop: StopIntent | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    returncode: int | None = None
    cause: str = ""
    log_tail: str = ""

    @classmethod
    def of(cls, new: NewAttempt, *, id: AttemptId, number: int, created_at: float) -> Self:
        """The attempt that `new` became when the ledger had numbered it."""
        return cls(
            id=id,
            job=new.job,
            number=number,
            slot=new.slot,
            gpus=new.gpus,
            token=new.token,
            command=new.command,
            output_dir=new.output_dir,
            log_file=new.log_file,
            claim_file=new.claim_file,
            exit_file=new.exit_file,
            created_at=created_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One config to train, in a loop and round of a study.

    `position` is its place in the loop's launch order, from 1. `output_dir` is where its first attempt writes.
    `outcome` is set exactly when `state` is DONE. A back-off is QUEUED with `not_before` (unix s; 0: at once).
    `cause` says why a job was cancelled before any attempt; else the last attempt's own cause speaks. A warm job starts
    from the last checkpoint of job `warm_from`; one that is `ahead` goes before the rest of the queue.
    """

    id: JobId
    study: str
    loop: int
    round: int
    position: int
    name: str
    cfg_file: str
    config: Config
    output_dir: str
    origin: Origin = field(default_factory=Origin)
    state: JobState = JobState.QUEUED
    outcome: Outcome | None = None
    attempts: tuple[Attempt, ...] = ()
    not_before: float = 0.0
    cause: str = ""
    warm_from: JobId | None = None
    ahead: bool = False

    def __post_init__(self) -> None:
        if (self.state is JobState.DONE) != (self.outcome is not None):
            raise ValueError(f"job {self.id}: state {self.state} with outcome {self.outcome}")

    def resumed(self, attempt: Attempt) -> bool:
        """Whether the attempt went on in the folder of an earlier one, from its checkpoint."""
        return any(one.output_dir == attempt.output_dir and one.number < attempt.number for one in self.attempts)

    @property
    def last_attempt(self) -> Attempt | None:
        """The newest attempt, or None while none was started."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job before the ledger has given it a number."""

    study: str
    loop: int
    round: int
    name: str
    cfg_file: str
    config: Config
    output_dir: str
    origin: Origin = field(default_factory=Origin)
    warm_from: JobId | None = None
    ahead: bool = False
