"""What a plan is made on, beside the ledger's snapshot: the slots, what the person wants, what was seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auto_loop.domain.job import Attempt, AttemptId, Job
from auto_loop.domain.request import Request
from auto_loop.domain.slot import Blocked, Slot
from auto_loop.loop.actions import Intent
from auto_loop.loop.live import Fired, Judged
from auto_loop.loop.pulse import Limits, Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, and the job that it names; None for the whole study, or when there is no such job."""

    request: Request
    job: Job | None = None

    @property
    def of_study(self) -> bool:
        """Whether the whole study is meant."""
        return self.request.payload.get("job") is None

    @property
    def kill(self) -> bool:
        """Whether no grace is given."""
        return bool(self.request.payload.get("kill"))

    @property
    def by(self) -> str:
        """Who asked."""
        return str(self.request.payload.get("by") or "a person")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a plan is made on, beside the ledger's snapshot.

    `adopted` are attempts of the study's earlier loops that still run: they keep what they hold until they end.
    `blocked` are free slots that take no job now, by number; `held_back` keeps every job from being launched (no room
    on the disk), in words. `over` says, in words, that the loop's time is over. `signalled` and `killed` are the
    attempts that this supervisor has sent SIGTERM and SIGKILL. `asked` are requests with the jobs they name. `verdicts`
    are the live rules that say to end an attempt, `warnings` those that are to be told of. `steady`: no round waits for
    its last job.
    """

    slots: Sequence[Slot]
    intent: Intent = Intent.RUN
    adopted: Sequence[Attempt] = ()
    blocked: Mapping[int, Blocked] = field(default_factory=dict)
    held_back: str = ""
    over: str = ""
    grace_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    pulses: Mapping[AttemptId, Pulse] = field(default_factory=dict)
    signalled: frozenset[AttemptId] = frozenset()
    killed: frozenset[AttemptId] = frozenset()
    asked: Sequence[Asked] = ()
    verdicts: Mapping[AttemptId, Judged] = field(default_factory=dict)
    warnings: Mapping[AttemptId, Sequence[Fired]] = field(default_factory=dict)
    steady: bool = False
