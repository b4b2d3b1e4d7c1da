"""A person's word on proposals that wait: what is accepted is queued at once, what is refused is written down."""

import shlex
from collections.abc import Iterator

from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.request import Request
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.waiting import full_text, room_in, take, turn_away, with_places


class Reminder:
    """Says that proposals wait for a person, once for each that comes."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._told = 0

    def tell(self, snapshot: Snapshot) -> None:
        """Say it, if there are more than before."""
        number = snapshot.waiting
        if self._parts.call.review and number > self._told:
            waiting = "1 proposal waits" if number == 1 else f"{number} proposals wait"
            text = f"{waiting} for a person: `auto-loop review {shlex.quote(self._parts.study)}`"
            self._journal.say("said", None, {"text": text})
        self._told = number


def review(parts: Parts, journal: Journal, request: Request) -> str:
    """Do what `request` asks for, and say what came of it. Call it inside a transaction.

    A request may be old by the time that somebody drives the loop: what does not wait any more is only said.
    """
    by = str(request.payload.get("by") or "a person")
    waiting = {one.id: one for one in parts.ledger.reading.decisions.waiting(parts.loop)}
    said: list[str] = []
    for number in _numbers(request, "refuse"):
        record = waiting.pop(number, None)
        said.append(_gone(number) if record is None else _refused(parts, journal, record, by))
    for number in _numbers(request, "accept"):
        record = waiting.pop(number, None)
        said.append(_gone(number) if record is None else _accepted(parts, journal, record, by))
    with_places(parts, journal)  # what was accepted may have taken the last one
    return "; ".join(said) or "nothing was asked for"


def _numbers(request: Request, key: str) -> Iterator[int]:
    named = request.payload.get(key)
    yield from (one for one in dict.fromkeys(named) if isinstance(one, int)) if isinstance(named, list) else ()


def _gone(number: int) -> str:
    return f"proposal {number} does not wait any more"


def _refused(parts: Parts, journal: Journal, record: ProposalRecord, by: str) -> str:
    turn_away(parts, journal, record, Verdict.REFUSED, (f"refused by {by}",))
    return f"proposal {record.id} is refused"


def _accepted(parts: Parts, journal: Journal, record: ProposalRecord, by: str) -> str:
    if not room_in(parts, record.round + 1):
        text = full_text(parts, record.round + 1)
        turn_away(parts, journal, record, Verdict.NO_PLACE, (text,))
        return f"proposal {record.id} has no place: {text}"
    name = take(parts, journal, record, by)
    if name:
        return f"proposal {record.id} is queued as {name}"
    return f"proposal {record.id} cannot be run any more, as the panel says (`auto-loop report` shows why)"
