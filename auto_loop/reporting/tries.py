"""A job's tries in words: how it stands, which try it was, what went wrong in each, and what followed."""

from datetime import tzinfo
from itertools import groupby, pairwise

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import JobState, Outcome
from auto_loop.reporting import figures
from auto_loop.reporting.attempts import AttemptReport
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.markdown import code, cut, inline
from auto_loop.reporting.told import Report

CAUSE = 160
NOT_AGAIN = "not tried again"
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


def nth(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    suffix = "th" if number % 100 in (11, 12, 13) else _SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"


def how(job: JobReport) -> str:
    """How the job ended or stands, and of what class its failure was: `failed: out of memory`."""
    if job.failed and job.failure not in (None, Failure.LOST):
        return f"{job.outcome}: {job.failure}"
    if job.state is JobState.QUEUED and job.attempts:
        return f"queued for its {nth(job.attempts + 1)} try"
    return str(job.outcome or job.state)


def took(job: JobReport) -> str:
    """How long its newest try took or has taken; nothing for a job that waits."""
    return figures.duration(job.duration_s) if job.duration_s is not None and job.state is not JobState.QUEUED else ""


def which_try(job: JobReport) -> str:
    """`3rd try, from its checkpoint`; nothing for a job that was tried once, or that waits."""
    if job.attempts < 2 or job.state is JobState.QUEUED:
        return ""
    newest = next(one for one in reversed(job.tries) if one.tried)
    return f"{nth(newest.tried)} try{', from its checkpoint' if newest.resumed else ''}"


def went_wrong(job: JobReport) -> str:
    """What went wrong in each try; those that ended alike in one breath. Or why it was stopped or withdrawn."""
    bad = [one for one in job.tries if one.went_wrong]
    told = []
    for ended, alike in groupby(bad, key=ended_badly):
        numbers = [one.tried for one in alike]
        told.append(f"{_tries(numbers)}: {ended}" if job.attempts > 1 else ended)
    if job.outcome in (Outcome.STOPPED, Outcome.CANCELLED):
        told.append(inline(cut(job.cause, CAUSE)) or "no cause is recorded")
    stopping = [one.stop for one in job.tries if one.stop and one.outcome is None]
    return "; ".join([*told, *(inline(cut(stop.text, CAUSE)) for stop in stopping)]) or figures.NONE


def ended_badly(one: AttemptReport) -> str:
    """`out of memory: CUDA out of memory ...`: the class and the cause of a bad end."""
    cause = inline(cut(one.cause.rstrip("."), CAUSE)) or "cause not known"
    return f"{_class(one)}: {cause}"


def _class(one: AttemptReport) -> str:
    return str(one.failure or one.outcome)


def stopped(job: JobReport, zone: tzinfo) -> str:
    """When it was asked to stop, and how long it took to end; of several stops the last. Nothing if it was not."""
    stops = [one for one in job.tries if one.stop is not None]
    if not stops:
        return ""
    often = f"stopped {len(stops)} times, the last time: " if len(stops) > 1 else ""
    return f"{often}{asked_to_stop(stops[-1], zone)}"


def asked_to_stop(one: AttemptReport, zone: tzinfo) -> str:
    """`asked to stop at 2026-11-21 01:04 UTC, ended 0.5 s later`; nothing for an attempt that was not."""
    if one.stop is None:
        return ""
    asked = f"asked to stop at {figures.moment(one.stop.at, zone)}"
    if one.ended_at is None:
        return asked
    took_s = one.ended_at - one.stop.at
    return f"{asked}, ended {figures.duration(took_s)} later" if took_s >= 0 else f"{asked}, had ended before"


def retried(job: JobReport, zone: tzinfo) -> str:
    """`tried again after 10 s and 20 s (from its checkpoint)`; nothing if it was not."""
    started = [one for one in job.tries if one.tried]
    pauses = [_pause(before, after) for before, after in pairwise(started) if before.went_wrong]
    told = [f"tried again after {_and(pauses)}"] if pauses else []
    if job.state is JobState.QUEUED and started and started[-1].went_wrong:
        at = f" from {figures.moment(job.not_before, zone)} on" if job.not_before else ""
        told.append(f"to be tried again{at}")
    return "; ".join(told)


def followed(job: JobReport, report: Report) -> str:
    """What came of a failed job: the one that took its place, or why there was nothing more."""
    if not job.failed:
        return ""
    if job.replaced_by is not None:
        child = report.job(job.replaced_by)
        name = f" {code(child.name)}" if child else ""
        return f"{stepped(child) if child else 'the same config'} as job {job.replaced_by}{name} took its place"
    if "never" in job.settled:  # it says so itself
        return inline(job.settled)
    reason = inline(job.settled.removeprefix(f"{NOT_AGAIN}: "))
    return f"{NOT_AGAIN}: {reason}" if reason else NOT_AGAIN


def done(job: JobReport, report: Report, zone: tzinfo) -> str:
    """What was done after its failures, in their order: tries, and what came of the last."""
    again, after = retried(job, zone), followed(job, report)
    if again and after.startswith(NOT_AGAIN):
        after = f"then no more{after.removeprefix(NOT_AGAIN)}"
    return "; ".join(filter(None, [again, after]))


def course(job: JobReport, report: Report, zone: tzinfo) -> list[str]:
    """List items: each try of a job that had several, its stops, and what followed."""
    lines = []
    if job.attempts > 1:
        lines += ["- Tries:", *(f"  - {_try(one, zone)}" for one in job.tries if one.tried)]
    else:
        stops = [one for one in job.tries if one.stop]
        lines += [f"- {_capital(asked_to_stop(one, zone))} ({inline(one.stop.text)})" for one in stops if one.stop]
    after = done(job, report, zone)
    return [*lines, *([f"- What followed: {after}"] if after else [])]


def _try(one: AttemptReport, zone: tzinfo) -> str:
    resumed = ", from the checkpoint of the one before" if one.resumed else ""
    took_s = one.ended_at - one.started_at if one.ended_at is not None and one.started_at is not None else None
    after = f" after {figures.duration(took_s)}" if took_s is not None else ""
    kind = _class(one) if one.went_wrong else str(one.outcome or "runs")
    cause = f": {inline(cut(one.cause, CAUSE))}" if one.cause else ""
    stop = f", {asked_to_stop(one, zone)}" if one.stop else ""
    return f"{nth(one.tried)}{resumed}: {kind}{after}{cause}{stop} (log {code(one.log)})"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def stepped(child: JobReport) -> str:
    """What a remedy changed: `batch_size 32 → 16`."""
    return ", ".join(code(cut(step, 80)) for step in child.steps or child.changes) or "the same config"


def _pause(before: AttemptReport, after: AttemptReport) -> str:
    known = before.ended_at is not None and after.started_at is not None
    pause = figures.duration((after.started_at or 0.0) - (before.ended_at or 0.0)) if known else "a while"
    return f"{pause} (from its checkpoint)" if after.resumed else pause


def _tries(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"{nth(numbers[0])} try"
    return f"tries {numbers[0]}–{numbers[-1]}" if len(numbers) > 2 else f"tries {numbers[0]} and {numbers[1]}"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
