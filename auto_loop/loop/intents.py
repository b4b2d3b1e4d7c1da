"""Intents, written down in the turn's commit before anything is done: launches, stops, withdrawals, answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from auto_loop.domain.config import Json
from auto_loop.domain.job import Attempt, AttemptId, NewAttempt
from auto_loop.domain.secrets import masked_words
from auto_loop.loop.actions import Action, Answer, Cancel, Review, Stop, Warn
from auto_loop.loop.forks import fork
from auto_loop.loop.journal import Journal
from auto_loop.loop.live import Fired
from auto_loop.loop.parts import Order, Parts, Ticket
from auto_loop.loop.recover import Live
from auto_loop.loop.review import review

LIVE_RULE = "live rule"  # the kind of the event: a live rule fired that only says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """A launch whose intent was written down."""

    live: Live
    order: Order


def intend(parts: Parts, journal: Journal, ticket: Ticket) -> Intended:
    """The intent to launch, written down; nothing has been started yet."""
    order, job, slot = parts.workshop.order(ticket), ticket.job, ticket.slot
    request = order.request
    before = _before(order)
    shown: dict[str, Json] = {"env": {name: request.env[name] for name in request.own_env}}
    new = NewAttempt(
        job=job.id,
        slot=slot.index,
        gpus=tuple(gpu.uuid for gpu in slot.gpus),
        token=request.token,
        command=masked_words(request.argv, parts.workshop.secrets),
        output_dir=order.output_dir,
        log_file=str(request.log_file),
        claim_file=str(request.claim_file),
        exit_file=str(request.exit_file),
        request=shown | before,
    )
    attempt_id = parts.ledger.start_attempt(new)
    detail: dict[str, Json] = {"job": job.name, "slot": slot.index, "where": slot.place, "log": new.log_file}
    detail |= before | ({"attempt": ticket.number} if ticket.number > 1 else {})
    journal.write("job started", job.id, detail)
    now = parts.workshop.clock()
    attempt = Attempt.of(new, id=attempt_id, number=ticket.number, created_at=now)
    live = Live(job=job, attempt=attempt, handle=None, started_at=now)
    return Intended(live=live, order=replace(order, request=replace(request, attempt=attempt_id)))


def _before(order: Order) -> dict[str, Json]:
    """What an attempt starts from: its own checkpoint, another job's, or not though it should."""
    told: dict[str, Json] = {"resume_from": order.resume_from, "warm_from": order.warm_from, "not_warm": order.not_warm}
    return {name: value for name, value in told.items() if value}


def write_intents(parts: Parts, journal: Journal, actions: Sequence[Action], live: Mapping[AttemptId, Live]) -> None:
    """Stops with what follows them, withdrawals and answers; `live` are the jobs that are to stop."""
    for action in actions:
        match action:
            case Stop(attempt=attempt, stop=stop, verdict=verdict):
                parts.ledger.ask_to_stop(attempt.id, stop)
                name = live[attempt.id].job.name if attempt.id in live else ""
                journal.write("job stopping", attempt.job, {"job": name, "cause": stop.text})
                if verdict is not None and verdict.forks:
                    fork(parts, journal, live[attempt.id].job, verdict.fired)
            case Warn(attempt=attempt, warning=warning):
                name = live[attempt.id].job.name if attempt.id in live else ""
                journal.write(LIVE_RULE, attempt.job, warned(name, attempt, warning))
            case Cancel(job=job, cause=cause):
                parts.ledger.cancel_job(job.id, cause)
                journal.write("job withdrawn", job.id, {"job": job.name, "cause": cause})
            case Answer(request=request, text=text):
                parts.ledger.requests.answer(request.id, text)
            case Review(request=request):
                parts.ledger.requests.answer(request.id, review(parts, journal, request))
            case _:
                continue  # nothing of it is to be known before it is done


def warned(name: str, attempt: Attempt, warning: Fired) -> dict[str, Json]:
    """What the event of a live rule that only warns tells."""
    rule = warning.stop.name
    return {"job": name, "attempt": attempt.id, "rule": rule, "step": warning.at, "text": warning.text}


def warned_before(parts: Parts) -> list[tuple[AttemptId, str]]:
    """The attempts of the loop that live rules have warned of, with the rules: by an earlier supervisor."""
    found: list[tuple[AttemptId, str]] = []
    after = 0
    while events := parts.ledger.reading.events(parts.loop, after):
        after = events[-1][0]
        told = (one.detail for _, one in events if one.kind == LIVE_RULE)
        found += [(AttemptId(int(str(one["attempt"]))), str(one["rule"])) for one in told]
    return found
