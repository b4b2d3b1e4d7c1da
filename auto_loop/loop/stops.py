"""Which attempts are to stop, and why: a person, the clock, a silent run, a live rule, a request. Pure."""

from collections.abc import Sequence
from typing import assert_never

from auto_loop.domain.job import Attempt, JobId, JobState, StopCause, StopIntent
from auto_loop.loop.actions import Answer, Cancel, Intent, Review, Stop, Warn
from auto_loop.loop.pulse import Pulse, overdue
from auto_loop.loop.stage import Asked, Stage

REVIEW = "review"  # the kind of a request: {"accept": [proposals], "refuse": [proposals], "by": who}
STOP = "stop"  # the kind of a request: {"job": id or null for the study, "kill": bool, "drain": bool, "by": who}


def wanted(asked: Sequence[Asked]) -> Intent:
    """What requests for the whole study come to, as an intent."""
    intents = [
        Intent.DRAIN if one.request.payload.get("drain") else Intent.KILL if one.kill else Intent.STOP
        for one in asked
        if one.request.kind == STOP and one.of_study
    ]
    return max(intents, default=Intent.RUN)


def due_stops(attempts: Sequence[Attempt], stage: Stage, now: float) -> tuple[Stop, ...]:
    """A stop for each attempt that has reason to end, unless it is stopping already as fast as it should."""
    found = []
    for attempt in attempts:
        verdict = _verdict(attempt, stage, now)
        stop = verdict.stop if verdict else _by_person(attempt, stage, now) or _by_clock(attempt, stage, now)
        if stop is None or attempt.id in stage.killed:
            continue
        if attempt.stop is None or stop.at + stop.grace_s < attempt.stop.at + attempt.stop.grace_s - 1e-9:
            found.append(verdict or Stop(attempt=attempt, stop=stop))
    return tuple(found)


def due_warnings(attempts: Sequence[Attempt], stage: Stage) -> tuple[Warn, ...]:
    """What live rules only say, of attempts that go on."""
    return tuple(
        Warn(attempt=attempt, warning=one) for attempt in attempts for one in stage.warnings.get(attempt.id, ())
    )


def _by_person(attempt: Attempt, stage: Stage, now: float) -> StopIntent | None:
    named = [
        one for one in stage.asked if one.request.kind == STOP and one.job is not None and one.job.id == attempt.job
    ]
    kill = stage.intent is Intent.KILL or any(one.kill for one in named)
    if stage.intent not in (Intent.STOP, Intent.KILL) and not named:
        return None
    if not kill and attempt.stop is not None:
        return None
    who = f"stopped by {named[0].by}" if named else "stopped on request"
    return StopIntent(at=now, cause=StopCause.PERSON, text=who, grace_s=0.0 if kill else stage.grace_s)


def _verdict(attempt: Attempt, stage: Stage, now: float) -> Stop | None:
    """A live rule's stop. Person and clock go before it: what they end is to have no successor."""
    judged = stage.verdicts.get(attempt.id)
    if judged is None or attempt.stop is not None:
        return None
    if _by_person(attempt, stage, now) or _by_clock(attempt, stage, now):
        return None
    stop = StopIntent(at=now, cause=StopCause.RULE, text=judged.text, grace_s=stage.grace_s)
    return Stop(attempt=attempt, stop=stop, verdict=judged)


def _by_clock(attempt: Attempt, stage: Stage, now: float) -> StopIntent | None:
    if attempt.stop is not None:
        return None
    limits, began = stage.limits, attempt.started_at or attempt.created_at
    if stage.over:
        return StopIntent(at=now, cause=StopCause.MAX_HOURS, text=stage.over, grace_s=stage.grace_s)
    if 0 < limits.job_timeout_s <= now - began:
        text = f"it took longer than --job-timeout {limits.job_timeout_s:.0f} s"
        return StopIntent(at=now, cause=StopCause.JOB_TIMEOUT, text=text, grace_s=stage.grace_s)
    hung = overdue(stage.pulses.get(attempt.id, Pulse()), limits)
    if hung is None:
        return None
    cause, text = hung
    return StopIntent(at=now, cause=cause, text=text, grace_s=stage.grace_s)


def answers(
    asked: Sequence[Asked], attempts: Sequence[Attempt], grace_s: float
) -> tuple[tuple[Cancel, ...], tuple[Answer | Review, ...]]:
    """Jobs to take out of the queue, and an answer for every request; that to a review says what came of it."""
    running = frozenset(attempt.job for attempt in attempts)
    cancels = {
        one.job.id: Cancel(job=one.job, cause=f"withdrawn by {one.by}")
        for one in asked
        if one.request.kind == STOP and one.job is not None and one.job.state is JobState.QUEUED
    }
    return tuple(cancels.values()), tuple(
        Review(request=one.request)
        if one.request.kind == REVIEW
        else Answer(request=one.request, text=_answer(one, running, grace_s))
        for one in asked
    )


def _answer(one: Asked, running: frozenset[JobId], grace_s: float) -> str:
    if one.request.kind != STOP:
        return f"a running loop knows no request {one.request.kind!r}"
    grace = "without grace" if one.kill else f"with {grace_s:.0f} s of grace"
    if one.of_study:
        if one.request.payload.get("drain"):
            return f"nothing more is launched; {_jobs(len(running))} trained to the end"
        stopped = f"{_jobs(len(running))} stopped, {grace}" if running else "nothing runs, and nothing more is launched"
        return f"{stopped}; `autorun --resume` goes on with the loop"
    if one.job is None:
        return f"there is no job {one.request.payload.get('job')}"
    match one.job.state:
        case JobState.QUEUED:
            return f"{one.job.name} was withdrawn from the queue"
        case JobState.DONE:
            return f"{one.job.name} has ended already: {one.job.outcome}"
        case JobState.STARTING | JobState.RUNNING if one.job.id in running:
            return f"{one.job.name} is being stopped, {grace}"
        case JobState.STARTING | JobState.RUNNING:
            return f"{one.job.name} is of another study"
        case _:
            assert_never(one.job.state)


def _jobs(count: int) -> str:
    return "1 job is" if count == 1 else f"{count} jobs are"
