"""A snapshot: the open part of one loop, bounded by its slots whatever the study's length."""

from dataclasses import dataclass

from auto_loop.domain.job import Job
from auto_loop.domain.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the planner sees: the jobs that hold slots, the head of the queue, and counts.

    `active` are STARTING or RUNNING (each has a last attempt with its slot); `queue` is the head of the queued
    jobs in launch order (back-offs behind the rest), as many as were asked for. `round` is the deepest that has a
    job. `queued` and `done` count the whole loop. `requests` are the study's unanswered ones, oldest first.
    """

    study: str
    loop: int
    round: int
    active: tuple[Job, ...]
    queue: tuple[Job, ...]
    queued: int
    done: int
    requests: tuple[Request, ...] = ()
