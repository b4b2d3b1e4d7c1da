"""The end of an attempt, written down: how it is judged, and what follows it, in one commit."""

import math
from dataclasses import replace
from typing import assert_never

from auto_loop.domain.config import Json
from auto_loop.domain.job import REMEDY, Attempt, Exit, Job, JobId
from auto_loop.loop.aftermath import Replace, Retry, Settle, Terms, aftermath
from auto_loop.loop.children import Child, queue_child
from auto_loop.loop.endings import Known, Logged, ending
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.recover import Live


def finish(parts: Parts, journal: Journal, live: Live, seen: Exit) -> Attempt:
    """The ended attempt, as it now stands in the ledger; its job is done, queued again, or replaced by a child.

    Call it inside a transaction. Jobs of earlier loops are only judged: nobody drives their loop.
    """
    known = _known(parts, live.attempt, seen)
    judged = ending(seen, known, parts.failures, parts.workshop.secrets)
    parts.ledger.finish_attempt(live.attempt.id, judged)
    detail: dict[str, Json] = {
        "job": live.job.name,
        "slot": live.attempt.slot,
        "outcome": judged.outcome.value,
        "failure": judged.failure.value if judged.failure else "",
        "cause": judged.cause,
        "seconds": judged.ended_at - live.started_at,
    }
    journal.write("job ended", live.job.id, detail)
    attempt = replace(
        live.attempt,
        outcome=judged.outcome,
        failure=judged.failure,
        returncode=judged.returncode,
        ended_at=judged.ended_at,
        cause=judged.cause,
        log_tail=judged.log_tail,
    )
    if live.job.loop == parts.loop:
        _follow(parts, journal, live.job, attempt, known.logged)
    return attempt


def _known(parts: Parts, attempt: Attempt, seen: Exit) -> Known:
    """What log and history tell; they are asked only for what did not go well, as a hand-off waits for the answer."""
    if seen.returncode == 0 and not seen.error and attempt.stop is None:
        return Known(logged=Logged(steps=parts.call.steps))
    latest = parts.meter.latest(attempt.output_dir)
    value = latest.values.get(parts.pack.main_metric)
    logged = Logged(
        last_step=latest.step if latest.points else None,
        steps=parts.call.steps,
        not_finite=value is not None and not math.isfinite(value),
    )
    return Known(
        log_tail=parts.workshop.log_tail(attempt.log_file),
        logged=logged,
        stop=attempt.stop,
        gpu_lost=any(map(parts.workshop.gpu_lost, attempt.gpus)),
    )


def _follow(parts: Parts, journal: Journal, job: Job, ended: Attempt, logged: Logged) -> None:
    match aftermath(job, ended, _terms(parts, job, ended, logged), parts.workshop.clock()):
        case Retry(not_before=not_before, text=text):
            parts.ledger.requeue(job.id, not_before)
            journal.write("job retried", job.id, {"job": job.name, "text": text, "not_before": not_before})
        case Replace() as remedied:
            name, child = _replace(parts, job, remedied)
            detail: dict[str, Json] = {
                "job": job.name,
                "child": name,
                "edits": list(remedied.edits),
                "reason": remedied.reason,
            }
            journal.write("job remedied", child, detail)
        case Settle(text=text):
            if text:
                journal.write("job settled", job.id, {"job": job.name, "text": text})
        case other:
            assert_never(other)


def _terms(parts: Parts, job: Job, ended: Attempt, logged: Logged) -> Terms:
    remedies = [one for one in parts.pack.remedies if one.failure is ended.failure]
    return Terms(
        retries=parts.call.retries,
        remedies=remedies,
        guardrails=parts.guardrails,
        types=parts.types,
        tried_in_lineage=_remedied_before(parts, job, ended) if remedies else 0,
        seen=_seen(parts, job) if remedies else frozenset(),
        logged=logged,
    )


def _seen(parts: Parts, job: Job) -> frozenset[str]:
    """What a remedied config must not be again. Repeats are exempt: all of a cell may need the same remedy."""
    if parts.call.repeats > 1:
        return parts.tried.under_seed_of(parts.study, parts.loop, job.config)
    return parts.tried.fingerprints(parts.study, parts.loop)


def _remedied_before(parts: Parts, job: Job, ended: Attempt) -> int:
    """How many jobs up the line, this one included, are remedies of the same failure."""
    count, one = 0, job
    while one.origin.proposer == REMEDY and one.origin.rule.endswith(f": {ended.failure}"):
        count += 1
        above = parts.ledger.reading.job(one.origin.parent) if one.origin.parent is not None else None
        if above is None:
            break
        one = above
    return count


def _replace(parts: Parts, job: Job, remedied: Replace) -> tuple[str, JobId]:
    """A child of the failed job in the same place of its round."""
    child = Child(
        parent=job,
        round=job.round,
        config=remedied.config,
        edits=remedied.edits,
        proposer=REMEDY,
        rule=remedied.rule,
        reason=remedied.reason,
        notes=remedied.notes,
        ahead=job.ahead,
        warm_from=job.warm_from,
    )
    return queue_child(parts, child)
