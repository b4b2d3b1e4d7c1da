"""Accounts: what became of one job, told to the person who asks. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import assert_never

from auto_loop.domain.job import REMEDY, Attempt, Job, JobState, Outcome, StopIntent
from auto_loop.domain.slot import SlotState
from auto_loop.loop.causes import Line, ended, listed, slot_text, time_text, waiting_cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job that was asked about: what it waits behind, `ahead` queued jobs before it, and the jobs made of it.

    `gone`: the ledger has it as running, nobody watches it, and its process is no more.
    """

    job: Job
    line: Line
    ahead: int = 0
    children: Sequence[Job] = ()
    gone: bool = False


def account(asked: Asked, now: float) -> tuple[str, ...]:
    """What is to be said of a job at `now` (unix s): where it stands and why first, then what went before."""
    return (*_standing(asked, now), *_attempts_before(asked.job))


def _standing(asked: Asked, now: float) -> Iterator[str]:
    job = asked.job
    match job.state:
        case JobState.QUEUED:
            yield f"It waits: {waiting_cause(job, asked.ahead, asked.line, now)}"
        case JobState.STARTING | JobState.RUNNING:
            yield from _running(asked, job.attempts[-1], now)
        case JobState.DONE:
            yield end_text(job, now, asked.line.zone)
            yield from _followed(asked)
        case _:
            assert_never(job.state)


def _running(asked: Asked, attempt: Attempt, now: float) -> Iterator[str]:
    place = _place(asked.line.slots, attempt.slot)
    what = "It is being started" if attempt.started_at is None else "It runs"
    since = time_text(attempt.started_at or attempt.created_at, now, asked.line.zone)
    number = f", attempt {attempt.number}" if attempt.number > 1 else ""
    yield f"{what} on {place}, since {since}{number}"
    if attempt.stop is not None:
        yield _asked_to_stop(attempt.stop, asked.line, now)
    if asked.line.undriven:
        yield f"But {asked.line.undriven}"
    if asked.gone:
        yield "Its process is gone, and how it ended is read when somebody drives the study"


def _asked_to_stop(stop: StopIntent, line: Line, now: float) -> str:
    over = time_text(stop.at + stop.grace_s, now, line.zone)
    return f"It was asked to stop at {time_text(stop.at, now, line.zone)} ({stop.text}); at {over} it is killed"


def end_text(job: Job, now: float, zone: tzinfo | None) -> str:
    """When and how a job that is done ended, as a sentence."""
    last = job.last_attempt
    if last is None or last.ended_at is None or (job.outcome is Outcome.CANCELLED and job.cause):
        waited = "before it ran" if last is None else "before it was tried again"
        return f"It was cancelled {waited}: {job.cause or 'no reason was given'}"
    return f"At {time_text(last.ended_at, now, zone)} it {ended(last)}"


def _followed(asked: Asked) -> Iterator[str]:
    """What a job's end led to: its remedy, the next configs, or that nothing will."""
    remedies = [child for child in asked.children if child.origin.proposer == REMEDY]
    others = [child.name for child in asked.children if child not in remedies]
    for child in remedies:
        yield f"In its place: {child.name} ({', '.join(child.origin.changes) or 'the same config'})"
    if others:
        yield f"Made of it: {listed(others)}"
    if not remedies and asked.job.outcome in (Outcome.FAILED, Outcome.LOST):
        yield "It is not tried again"


def _attempts_before(job: Job) -> Iterator[str]:
    """Attempts that ended before the one that counts: each was followed by the next try."""
    before = job.attempts if job.state is JobState.QUEUED else job.attempts[:-1]
    for attempt in before:
        yield f"Attempt {attempt.number} {ended(attempt)}"


def _place(slots: Sequence[SlotState], index: int) -> str:
    return next((slot_text(slot) for slot in slots if slot.index == index), f"slot {index}")
