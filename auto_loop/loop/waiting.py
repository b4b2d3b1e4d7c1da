"""Proposals that wait, for a slot or for a person: which of them is next, and what becomes of one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job
from auto_loop.domain.proposal import Verdict
from auto_loop.loop.deciding import ruled
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.rounds import places, queue_accepted
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits
from auto_loop.proposers.spread import Seat, are_twins

TAKEN, TURNED_AWAY = "proposal taken", "proposal turned away"  # kinds of events
SLOT = "it waits for a free slot"
_ONE = Limits(per_parent=1, round_size=1)
# How many of the best that wait are looked at for their diversity: each is held against all that its round has.
_LOOKED_AT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A proposal that waits, with the rank of its parent (smaller is better) and what it would change."""

    record: ProposalRecord
    rank: float
    seat: Seat


def best_of(contenders: Iterable[Contender], taken: Mapping[int, Sequence[Seat]]) -> Contender:
    """The one that is next; `taken` are the seats of the rounds that their children would be of. Pure.

    As the panel fills a round: the least-heard parent first, then what is no twin of what was taken, then the
    least-heard purpose. Then the parent's rank decides, the proposal's priority, and who came first.
    """

    children = {number: Counter(seat.parent for seat in seats) for number, seats in taken.items()}

    def heard(one: Contender) -> int:
        number = one.record.round + 1
        return children[number][one.seat.parent] if number in children else 0

    def merit(one: Contender) -> tuple[float, int, int]:
        return one.rank, -one.seat.priority, one.record.id or 0

    def order(one: Contender) -> tuple[int, int, int, float, int, int]:
        beside = taken.get(one.record.round + 1, ())
        twins = sum(are_twins(seat.moves, one.seat.moves) for seat in beside)
        same_purpose = sum(seat.group == one.seat.group for seat in beside)
        return heard(one), twins, same_purpose, *merit(one)

    looked_at = nsmallest(_LOOKED_AT, contenders, key=lambda one: (heard(one), *merit(one)))
    return min(looked_at, key=order)


def room_in(parts: Parts, number: int) -> int:
    """How many more configs round `number` has places for."""
    if number > parts.call.rounds:
        return 0
    return max(0, places(parts) - len(parts.ledger.reading.firsts_of_round(parts.loop, number)))


def full_text(parts: Parts, number: int) -> str:
    """Why a proposal that would be of round `number` has no place."""
    if number > parts.call.rounds:
        return f"round {number - 1} was the last one (--rounds {parts.call.rounds})"
    return f"the {places(parts)} places of round {number} went to others"


def parent_of(parts: Parts, record: ProposalRecord) -> Job:
    """The job that a proposal was made of."""
    parent = parts.ledger.reading.job(record.parent)
    if parent is None:
        raise ValueError(f"job {record.parent} is not in the ledger")
    return parent


def take(parts: Parts, journal: Journal, record: ProposalRecord, by: str = "") -> str:
    """Queue what waits, judged once more: the study may have tried its config since. Call it inside a transaction.

    The child's name; empty when it was refused, which is written down with the reasons. `by` is the person whose word
    it is, empty for the loop's own.
    """
    parent = parent_of(parts, record)
    candidate = Candidate(parent=parent, proposal=record.proposal)
    ruling = ruled(parts, [candidate], _ONE, lambda _candidate, _config: record.predictions).ruling
    if not ruling.accepted:
        turn_away(parts, journal, record, Verdict.REFUSED, ruling.refused[0].reasons)
        return ""
    (accepted,) = ruling.accepted
    name, child = queue_accepted(parts, parent, accepted, record.round + 1)
    kept = replace(record, edits=accepted.edits, reasons=accepted.notes)
    parts.ledger.decisions.settle(record.id or 0, Verdict.ACCEPTED, child=child, record=kept)
    detail = {"child": name, "parent": parent.name, "reason": record.proposal.reason, "by": by}
    journal.write(TAKEN, child, {"proposal": record.id, **detail})
    return name


def with_places(parts: Parts, journal: Journal) -> list[ProposalRecord]:
    """What waits and could still be taken; the rest is turned away. Call it inside a transaction."""
    found = parts.ledger.reading.decisions.waiting(parts.loop)
    full = {number for number in {one.round + 1 for one in found} if not room_in(parts, number)}
    for one in found:
        if one.round + 1 in full:
            turn_away(parts, journal, one, Verdict.NO_PLACE, (full_text(parts, one.round + 1),))
    return [one for one in found if one.round + 1 not in full]


def turn_away(
    parts: Parts, journal: Journal, record: ProposalRecord, verdict: Verdict, reasons: tuple[str, ...]
) -> None:
    """Write down why a proposal that waited becomes no job. Call it inside a transaction."""
    parts.ledger.decisions.settle(record.id or 0, verdict, record=replace(record, reasons=reasons))
    name = record.proposal.rule or record.proposal.proposer
    journal.write(
        TURNED_AWAY,
        record.parent,
        {"proposal": record.id, "rule": name, "verdict": verdict.value, "reasons": list(reasons)},
    )
