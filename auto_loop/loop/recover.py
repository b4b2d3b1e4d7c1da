"""Recovery: what the ledger says is open, held against what really runs. A restart is the ordinary start."""

from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.job import Attempt, Ending, Handle, Job, Outcome
from auto_loop.launch.claims import claimed
from auto_loop.loop.parts import Parts

NEVER_STARTED = "it was never started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """An attempt that this supervisor watches. `handle` is None between the intent and the start."""

    job: Job
    attempt: Attempt
    handle: Handle | None
    started_at: float


def recover(parts: Parts) -> tuple[Live, ...]:
    """The attempts of this study that an earlier supervisor left open, taken over, whichever loop they are of.

    RUNNING ones are watched by their handle. STARTING ones are looked up by their claim: with one they are adopted,
    without one they never ran, never will, and their job is queued again.
    """
    found = (_take_over(parts, job, job.attempts[-1]) for job in parts.ledger.reading.open_jobs(parts.study))
    return tuple(live for live in found if live is not None)


def _take_over(parts: Parts, job: Job, attempt: Attempt) -> Live | None:
    handle = attempt.handle or claimed(Path(attempt.claim_file), parts.launcher.name, attempt.token)
    now = parts.workshop.clock()
    if handle is None:
        with parts.ledger.transaction():
            never = Ending(ended_at=now, outcome=Outcome.CANCELLED, cause=NEVER_STARTED)
            parts.ledger.finish_attempt(attempt.id, never)
            parts.ledger.requeue(job.id)
        return None
    started_at = attempt.started_at or attempt.created_at
    if attempt.handle is None:
        parts.ledger.mark_running(attempt.id, handle, started_at)
    return Live(job=job, attempt=attempt, handle=handle, started_at=started_at)
