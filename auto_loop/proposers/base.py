"""The seam of all proposers: rules, a search, an agent and a person offer candidates in the same form."""

from dataclasses import dataclass
from typing import Protocol

from auto_loop.domain.decision import ParentSeen
from auto_loop.domain.history import History
from auto_loop.domain.job import Job
from auto_loop.domain.proposal import Proposal, Silence
from auto_loop.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A proposal and the job whose config it changes."""

    parent: Job
    proposal: Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a proposer came up with, best parents first, and the jobs that it has nothing for, each with the cause.

    `seen` are the parents as they were seen, in the same order: a decision is derived again from these.
    """

    candidates: tuple[Candidate, ...] = ()
    silences: tuple[Silence, ...] = ()
    seen: tuple[ParentSeen, ...] = ()


class Proposer(Protocol):
    """A strategy. `n` is how many places the next round has; an offer may hold more, the panel chooses."""

    def propose(self, snapshot: Snapshot, history: History, n: int) -> Offer: ...
