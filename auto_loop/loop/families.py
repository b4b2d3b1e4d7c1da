"""A cell's family: its first job, the repeats, and all whose place a remedied job has taken."""

from collections.abc import Iterable

from auto_loop.domain.job import REMEDY, REPEAT, Job, JobState, Outcome
from auto_loop.loop.parts import Parts


def root_of(parts: Parts, job: Job) -> Job:
    """The first job of a cell, before remedies; of a confirmation's runs the first one of these."""
    while job.origin.proposer in (REPEAT, REMEDY) and job.origin.parent is not None:
        above = parts.ledger.reading.job(job.origin.parent)
        if above is None:
            break
        job = above
    return job


def family_of(parts: Parts, root: Job) -> tuple[Job, ...]:
    """All jobs that came of `root` by repeats and remedies, in launch order; without the runs of confirmations.

    They are all of one round, so that the cost follows the round and not the loop.
    """
    found, left = [], [root]
    while left:
        job = left.pop(0)
        found.append(job)
        children = parts.ledger.reading.children_in_round(job, job.round)
        left += [one for one in children if one.origin.proposer in (REPEAT, REMEDY)]
    return tuple(sorted(found, key=lambda job: job.position))


def are_over(parts: Parts, jobs: Iterable[Job]) -> bool:
    """Whether all of them have ended, and what they logged is in the ledger."""
    return all(_is_over(parts, job) for job in jobs)


def _is_over(parts: Parts, job: Job) -> bool:
    if job.state is not JobState.DONE:
        return False
    last = job.last_attempt
    if last is None or job.outcome is Outcome.CANCELLED:
        return True
    return parts.ledger.reading.is_read(last.id)
