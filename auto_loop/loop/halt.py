"""Halting: the open attempts of a study that nobody drives, ended with grace by whoever holds its lease.

What a supervisor would do, without one: the intent first, SIGTERM, SIGKILL to the whole tree when the grace is over,
and the end as the keeper left it. Claims decide, as in recovery, whether an attempt runs at all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.domain.event import Event
from auto_loop.domain.job import Attempt, Ending, Exit, Handle, Job, Outcome, StopIntent
from auto_loop.launch.base import Launcher, Signal
from auto_loop.launch.claims import claimed
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.recover import NEVER_STARTED

_LOOK_S = 0.1
_PATIENCE_S = 10.0  # after SIGKILL: a process in uninterruptible sleep dies no sooner than its disk answers


class Fate(StrEnum):
    """What became of an open attempt that was to be halted."""

    ENDED = "ended"
    KILLED = "killed"
    NEVER_RAN = "never ran"
    OVER_BEFORE = "over before"
    STILL_THERE = "still there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """One job and its fate."""

    job: Job
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What halting needs. `judge(exit, attempt)` gives the ending that is written down; `clock` unix seconds."""

    ledger: Ledger
    launcher: Launcher
    judge: Callable[[Exit, Attempt], Ending]
    clock: Callable[[], float]


@dataclass(slots=True, kw_only=True)
class _Open:
    """An attempt that is being halted."""

    job: Job
    attempt: Attempt
    handle: Handle
    stop: StopIntent
    killed_at: float | None = None

    @property
    def kill_at(self) -> float:
        return self.stop.at + self.stop.grace_s


def halt(means: Means, jobs: Iterable[Job], stop: StopIntent, *, for_good: bool) -> tuple[Halted, ...]:
    """End the attempts of STARTING and RUNNING `jobs`; hold the study's lease while you call it.

    A job that never ran is queued again, or cancelled if it is to end `for_good`. What was over before is left for the
    next supervisor, which knows of retries and remedies.
    """
    fates: list[Halted] = []
    running: list[_Open] = []
    for job in jobs:
        one = _taken(means, job, stop)
        if one is None:
            _never_ran(means, job, stop, for_good=for_good)
            fates.append(Halted(job=job, fate=Fate.NEVER_RAN))
        elif isinstance(means.launcher.poll(one.handle, Path(one.attempt.exit_file)), Exit):
            fates.append(Halted(job=job, fate=Fate.OVER_BEFORE))
        else:
            running.append(one)
    _ask(means, running, stop)
    return (*fates, *_see_out(means, running))


def _taken(means: Means, job: Job, stop: StopIntent) -> _Open | None:
    """The attempt with what identifies its process; None when it never ran and now never will.

    An intent that was there before goes on as it was given, unless the new one is sooner over.
    """
    attempt = job.attempts[-1]
    handle = attempt.handle or claimed(Path(attempt.claim_file), means.launcher.name, attempt.token)
    if handle is None:
        return None
    if attempt.handle is None:
        means.ledger.mark_running(attempt.id, handle, attempt.created_at)
    before = attempt.stop
    sooner = before is not None and before.at + before.grace_s <= stop.at + stop.grace_s
    kept = before if before is not None and sooner else stop
    return _Open(job=job, attempt=replace(attempt, handle=handle, stop=kept), handle=handle, stop=kept)


def _never_ran(means: Means, job: Job, stop: StopIntent, *, for_good: bool) -> None:
    cause = f"{stop.text}, before it was started" if for_good else NEVER_STARTED
    ending = Ending(ended_at=means.clock(), outcome=Outcome.CANCELLED, cause=cause)
    with means.ledger.transaction():
        means.ledger.finish_attempt(job.attempts[-1].id, ending)
        if not for_good:
            means.ledger.requeue(job.id)


def _ask(means: Means, running: Sequence[_Open], stop: StopIntent) -> None:
    """The intents in one commit, then SIGTERM: not to those that were asked before, whom a second one would kill."""
    with means.ledger.transaction():
        for one in running:
            if one.stop is stop:
                means.ledger.ask_to_stop(one.attempt.id, stop)
    for one in running:
        if one.kill_at > means.clock() and one.job.attempts[-1].stop is None:
            means.launcher.signal(one.handle, Signal.TERM)


def _see_out(means: Means, running: list[_Open]) -> list[Halted]:
    """Wait for the ends, with SIGKILL for each whose grace is over, again and again while anything of it lives."""
    fates: list[Halted] = []
    while running:
        now = means.clock()
        for one in running:
            if one.kill_at <= now:
                one.killed_at = one.killed_at or now
                means.launcher.signal(one.handle, Signal.KILL)
        means.launcher.wait([one.handle for one in running], _until_next(running, means.clock()))
        left = []
        for one in running:
            fate = _fate(means, one)
            if fate is None:
                left.append(one)
            else:
                fates.append(Halted(job=one.job, fate=fate))
        running = left
    return fates


def _until_next(running: Sequence[_Open], now: float) -> float:
    return min(_LOOK_S, *(max(0.0, one.kill_at - now) if one.killed_at is None else _LOOK_S for one in running))


def _fate(means: Means, one: _Open) -> Fate | None:
    """How it ended, written down; None while it goes on."""
    seen = means.launcher.poll(one.handle, Path(one.attempt.exit_file))
    if not isinstance(seen, Exit):
        given_up = one.killed_at is not None and means.clock() > one.killed_at + _PATIENCE_S
        return Fate.STILL_THERE if given_up else None
    ending = means.judge(seen, one.attempt)
    with means.ledger.transaction():
        means.ledger.finish_attempt(one.attempt.id, ending)
        means.ledger.record_event(_event(one, ending))
    return Fate.ENDED if one.killed_at is None else Fate.KILLED


def _event(one: _Open, ending: Ending) -> Event:
    attempt = one.attempt
    began = attempt.started_at or attempt.created_at
    detail: dict[str, Json] = {
        "job": one.job.name,
        "slot": attempt.slot,
        "outcome": ending.outcome.value,
        "cause": ending.cause,
        "seconds": ending.ended_at - began,
    }
    job = one.job
    return Event(kind="job ended", at=ending.ended_at, study=job.study, loop=job.loop, job=job.id, detail=detail)
