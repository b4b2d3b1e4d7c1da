"""A snapshot: the open part of one loop, bounded by its slots whatever the study's length."""

from dataclasses import dataclass

from auto_loop.domain.job import Job
from auto_loop.domain.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the planner sees: the jobs that hold slots, the head of the queue, and counts.

    `active` are STARTING or RUNNING (each has a last attempt with its slot); `queue` is the head of the queued
    jobs in launch order (back-offs behind the rest), as many as were asked for. `round` is the one that the loop is in,
    the first that is not decided; forks may wait or run in later ones, `deepest` is the last of these. `queued` and
    `done` count the whole loop, `queued_in_round` that round, `waiting` the proposals that wait for a slot or a person.
    `requests` are the study's unanswered ones, oldest first.
    """

    study: str
    loop: int
    round: int
    active: tuple[Job, ...]
    queue: tuple[Job, ...]
    queued: int
    done: int
    queued_in_round: int = 0
    waiting: int = 0
    deepest: int = 0
    requests: tuple[Request, ...] = ()
