"""What the planner can ask for. Plain values: a plan is printable before anything is done."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, assert_never

from auto_loop.domain.job import Attempt, Job, StopIntent
from auto_loop.domain.request import Request
from auto_loop.domain.slot import Slot
from auto_loop.loop.live import Fired, Judged


class Intent(IntEnum):
    """What the person wants of the loop, each more than the one before.

    Go on, launch nothing more, stop the jobs with grace, end them now, or leave them training.
    """

    RUN = 0
    DRAIN = 1
    STOP = 2
    KILL = 3
    LEAVE = 4


def heard(intent: Intent, running: int, grace_s: float, by: str = "") -> str:
    """What a person is told when the intent has changed: a Ctrl-C that shows nothing is soon pressed again.

    `by` is who asked from outside, empty for the person at the terminal.
    """
    jobs = "1 running job" if running == 1 else f"{running} running jobs"
    if not running and intent not in (Intent.RUN, Intent.LEAVE):
        return f"{f'Asked by {by}' if by else 'Interrupted'}: nothing more is launched."
    if by and intent is not Intent.LEAVE:
        rest = "nothing more is launched" if intent is Intent.DRAIN else f"stopping {jobs}"
        return f"Asked by {by}: {rest}."
    match intent:
        case Intent.RUN:
            return ""
        case Intent.DRAIN:
            return f"Interrupted: nothing more is launched, waiting for {jobs} (Ctrl-C again stops them)."
        case Intent.STOP:
            return f"Interrupted again: stopping {jobs}, with {grace_s:.0f} s of grace (Ctrl-C again ends them now)."
        case Intent.KILL:
            return f"Ending {jobs} now, without grace."
        case Intent.LEAVE:
            return f"Asked to leave{f': {jobs} left to themselves' if running else ''}."
        case _:
            assert_never(intent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start `job` on `slot`."""

    job: Job
    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Write down that an attempt is to stop, and why; then ask it to finish (SIGTERM).

    `verdict` is the live rule that says so, if one does: its successor is in the same commit.
    """

    attempt: Attempt
    stop: StopIntent
    verdict: Judged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """Say, once, that a live rule fired that does nothing else."""

    attempt: Attempt
    warning: Fired


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """Signal an attempt that is to stop: SIGTERM, or SIGKILL to its whole tree when its grace is over."""

    attempt: Attempt
    kill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """End a queued job that no process was started for."""

    job: Job
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Tell whoever asked what came of it."""

    request: Request
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Do as a person says with proposals that wait, and answer."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRound:
    """Every job of `round` has ended: decide what comes next."""

    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Leave the loop unfinished, as the person asked; `--resume` goes on from here."""

    reason: str


Action: TypeAlias = Launch | Stop | Warn | Terminate | Cancel | Answer | Review | EndRound | Leave
