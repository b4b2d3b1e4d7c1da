"""Which of the proposals that wait is next."""

from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.paths import parsed
from auto_loop.domain.proposal import Proposal, Verdict
from auto_loop.loop.waiting import Contender, best_of
from auto_loop.proposers.spread import Push, Seat

LR, REG = parsed("lr"), parsed("reg")


def seat(parent: int, place: object = LR, up: bool = True, group: str = "", priority: int = 0) -> Seat:
    moves = {place: Push(up=up, size=1.0)}
    return Seat(parent=JobId(parent), group=group, priority=priority, config=f"{parent}{place}{up}", moves=moves)  # type: ignore[arg-type] # a parsed path


def waits(number: int, at: Seat, rank: float = 0.0, round_: int = 1) -> Contender:
    record = ProposalRecord(
        loop=1,
        round=round_,
        parent=at.parent,
        proposal=Proposal(changes={}, reason="", priority=at.priority),
        verdict=Verdict.WAITING,
        id=number,
    )
    return Contender(record=record, rank=rank, seat=at)


def test_the_best_parent_goes_first_and_then_the_priority_and_then_who_came_first() -> None:
    good, poor = waits(2, seat(1, priority=-5), rank=0.1), waits(1, seat(2, priority=50), rank=0.2)
    assert best_of([poor, good], {}) is good
    other = waits(3, seat(1, priority=10), rank=0.1)
    assert best_of([good, other], {}) is other
    same = waits(4, seat(1, priority=10), rank=0.1)
    assert best_of([same, other], {}) is other


def test_the_least_heard_parent_goes_before_a_better_one() -> None:
    heard, unheard = waits(1, seat(1, REG), rank=0.1), waits(2, seat(2), rank=9.0)
    assert best_of([heard, unheard], {2: [seat(1)]}) is unheard
    assert best_of([heard, unheard], {3: [seat(1)]}) is heard, "of another round it has not been heard"


def test_no_twin_goes_before_a_twin_and_another_purpose_before_the_same() -> None:
    twin, other = waits(1, seat(1, LR), rank=0.1), waits(2, seat(2, REG), rank=0.2)
    assert best_of([twin, other], {2: [seat(3, LR)]}) is other
    same, new = waits(1, seat(1, LR, group="a"), rank=0.1), waits(2, seat(2, LR, group="b"), rank=0.2)
    assert best_of([same, new], {2: [seat(3, REG, group="a")]}) is new


def test_an_unknown_rank_comes_last() -> None:
    known, unknown = waits(2, seat(1), rank=7.0), waits(1, seat(2), rank=float("inf"))
    assert best_of([unknown, known], {}) is known
