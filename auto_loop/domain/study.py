"""Studies, loops and rounds as the ledger knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A named goal with its jobs and decisions. `pack` and `profile` are names or files as they were given."""

    name: str
    pack: str
    profile: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One call of autorun in a study. `number` = UTC seconds at its start; `flags` are the stored options.

    `end_reason` is empty while the loop is unfinished.
    """

    study: str
    number: int
    flags: Mapping[str, Json] = field(default_factory=dict)
    started_at: float = 0.0
    ended_at: float | None = None
    end_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """How far one round of a loop is, in numbers of jobs. A decision is due when `over` and the loop is open."""

    round: int
    queued: int
    active: int
    done: int

    @property
    def over(self) -> bool:
        """Whether every job of the round has ended."""
        return self.done > 0 and self.queued == self.active == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """Who drives a study, or did: the process by pid, start time (clock ticks after boot) and boot id, on its host.

    `ended_at` is None until it left in good order; one that was killed never says so.
    """

    study: str
    host: str
    boot_id: str
    pid: int
    start_time: int
    since: float
    ended_at: float | None = None
