"""What the planner can ask for. Plain values: a plan is printable before anything is done."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from auto_loop.domain.job import Attempt, Job
from auto_loop.domain.slot import Slot


class Intent(Enum):
    """What the person wants of the loop: go on, launch nothing more, stop the jobs too, or leave them training."""

    RUN = auto()
    DRAIN = auto()
    STOP = auto()
    LEAVE = auto()


def heard(intent: Intent, running: int, grace_s: float) -> str:
    """What a person is told who has just changed the intent: a Ctrl-C that shows nothing is soon pressed again."""
    jobs = "1 running job" if running == 1 else f"{running} running jobs"
    match intent:
        case Intent.RUN:
            return ""
        case Intent.DRAIN:
            return f"Interrupted: nothing more is launched, waiting for {jobs} (Ctrl-C again stops them)."
        case Intent.STOP:
            return f"Interrupted again: stopping {jobs}, with {grace_s:.0f} s of grace."
        case Intent.LEAVE:
            return f"Asked to leave: {jobs} left to themselves."
        case _:
            assert_never(intent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start `job` on `slot`."""

    job: Job
    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """Ask an attempt to finish (SIGTERM), or end it (SIGKILL to the whole tree) when its grace is over."""

    attempt: Attempt
    kill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRound:
    """Every job of `round` has ended: decide what comes next."""

    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Leave the loop unfinished, as the person asked; `--resume` goes on from here."""

    reason: str


Action: TypeAlias = Launch | Terminate | EndRound | Leave
