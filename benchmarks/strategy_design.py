"""The comparison of strategies as values: who takes part, under what budget, with which seeds, in which order."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

CONFIRMING = "confirmation"
BASELINE = "the baseline"
MASS = 1e-3
"""The share of mass from which transport counts as alive: the lower end of the band in the shipped pack."""

EVALUATIONS = 4
"""Evaluations of a job: the pack's rules on the course of the held-out L1 ask for four."""

_START_S, _EVALUATION_S, _STEP_S, _TURN_S = 6.0, 0.4, 0.025, 4.0
"""What a job's start, an evaluation, a step, and the turn from one search to the next took on two quiet cores."""


class Arm(StrEnum):
    """Who proposes the next config."""

    COMPUTED = "computed rules"
    NUDGING = "nudging rules"
    RANDOM = "random search"
    TPE = "Optuna's TPE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is fixed before anything runs. `budget` is in slot-minutes: slots × wall time since the first launch."""

    repeats: int
    budget: float
    steps: int
    slots: int
    confirm: int
    seed: int
    device: str

    @property
    def wall_s(self) -> float:
        """How long one search may last on the clock."""
        return 60 * self.budget / self.slots

    @property
    def job_words(self) -> tuple[str, ...]:
        """How long each job trains, logs and evaluates, and where: the same for everybody."""
        log, evaluate = max(1, self.steps // 10), max(1, self.steps // EVALUATIONS)
        every = (f"--steps={self.steps}", f"--log-freq={log}", f"--eval-freq={evaluate}")
        return (*every, f"--concurrency={self.slots}", f"--device={self.device}")

    def search_seed(self, repeat: int) -> int:
        """The seed of all jobs of a repeat's searches, and of the samplers; `repeat` from 1."""
        return self.seed + 100 * (repeat - 1)

    def confirm_seeds(self, repeat: int) -> tuple[int, ...]:
        """Seeds that no search of any repeat has used."""
        return tuple(self.search_seed(repeat) + 1 + at for at in range(self.confirm))

    def order(self, repeat: int) -> tuple[Arm, ...]:
        """The arms of a repeat in turn, another one first each time: a busy hour hits all alike."""
        arms, first = tuple(Arm), (repeat - 1) % len(Arm)
        return arms[first:] + arms[:first]

    def slot_minutes(self, seconds: float) -> float:
        """What so many seconds since the first launch cost, busy or idle."""
        return self.slots * seconds / 60

    def expected_minutes(self) -> float:
        """About how long all of it takes on two quiet cores."""
        job = _START_S + _STEP_S * self.steps + _EVALUATION_S * (EVALUATIONS + 1)
        waves = -(-self.confirm * (len(Arm) + 1) // self.slots)
        return (60 + self.repeats * (len(Arm) * (self.wall_s + _TURN_S) + waves * job)) / 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job that ended within the budget. `minutes` are slot-minutes from the first launch to its end.

    `l1` is its best held-out L1 and `mass` its last `pi_sum`; None where it has none, as when it failed. `round` is
    the loop's round; of a search that knows no rounds, how often all slots had been filled when it was launched.
    """

    name: str
    round: int
    minutes: float
    succeeded: bool
    l1: float | None
    mass: float | None
    why: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether transport took part in the end."""
        return self.succeeded and self.mass is not None and self.mass > MASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One arm in one repeat: its jobs in the order in which they ended.

    `done_at` is set when it had nothing left to propose (slot-minutes); `launched` counts what was cut off, too.
    `load` is the machine's load average before and after.
    """

    arm: Arm
    repeat: int
    launched: int
    jobs: tuple[JobRecord, ...] = ()
    done_at: float | None = None
    load: tuple[float, ...] = ()

    @property
    def best(self) -> JobRecord | None:
        """The job with the lowest observed held-out L1; the earliest of several."""
        judged = [job for job in self.jobs if job.succeeded and job.l1 is not None]
        return min(judged, key=lambda job: (job.l1, job.minutes), default=None)

    @property
    def first_alive(self) -> JobRecord | None:
        """The first job to end with mass."""
        return next((job for job in self.jobs if job.alive), None)


def search_of(data: dict[str, Any]) -> Search:
    """A search from the JSON that `asdict` made of it."""
    jobs = tuple(JobRecord(**job) for job in data["jobs"])
    return Search(**{**data, "arm": Arm(data["arm"]), "jobs": jobs, "load": tuple(data["load"])})
