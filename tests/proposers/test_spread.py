"""Which proposals are the same nudge, and that a round prefers different ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.job import JobId
from auto_loop.proposers.spread import Seat, are_twins, diverse, likeness, moves_of

TREE: dict[str, Any] = {"reg": 0.3, "tau": 1.0, "lambda": 0.1, "scale": "raw", "zero": 0, "labels": [{"w": 1.0}] * 3}
PARENT = Config.of(TREE)
EDITS = st.sampled_from(
    ["reg@mul=2", "reg@mul=3", "reg@mul=0.5", "tau@mul=4", "lambda@mul=1.5", "lambda@mul=10", "scale=mean", "scale=max",
     "zero@add=1", "zero@add=5", "labels.*.w@mul=0.1", "labels.0.w@mul=0.1", "labels@remove=2"]
)  # fmt: skip
CHANGES = st.lists(EDITS, max_size=3, unique=True)


def moves(*edits: str, tree: dict[str, Any] = TREE) -> Any:
    parent = Config.of(tree)
    return moves_of(parent, apply(parent, parse_edits(edits)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["lambda@mul=1.5"], ["lambda@mul=10"]),
        (["labels.*.w@mul=0.1"], ["labels.*.w@mul=0.13"]),
        (["scale=mean"], ["scale=mean"]),
        (["zero@add=1"], ["zero@add=7"]),
        (["reg@mul=2", "tau@mul=2"], ["reg@mul=2.2", "tau@mul=2.5"]),
    ],
)
def test_the_same_nudge_whatever_its_size(one: list[str], other: list[str]) -> None:
    assert are_twins(moves(*one), moves(*other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["lambda@mul=1.5"], ["lambda@mul=0.67"]),
        (["lambda@mul=1.5"], ["reg@mul=1.5"]),
        (["scale=mean"], ["scale=max"]),
        (["reg@mul=2"], ["reg@mul=2", "lambda@mul=2"]),
        (["labels.*.w@mul=0.1"], ["labels.0.w@mul=0.1"]),
    ],
)
def test_different_purposes(one: list[str], other: list[str]) -> None:
    assert not are_twins(moves(*one), moves(*other))


@given(CHANGES, CHANGES)
def test_likeness_is_a_share_and_goes_both_ways(one: list[str], other: list[str]) -> None:
    a, b = moves(*one), moves(*other)
    assert likeness(a, b) == likeness(b, a)
    assert 0 <= likeness(a, b) <= 1
    assert likeness(a, a) == (1 if a else 0)


def test_the_nearer_the_steps_the_more_alike() -> None:
    steps = [likeness(moves("reg@mul=2"), moves(f"reg@mul={factor}")) for factor in (2, 3, 9, 1000)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] > 0.5


def test_no_size_of_numbers_breaks_it() -> None:
    huge = {"reg": 5e-324, "n": 10**300}
    found = moves("reg@set=1e308", "n@set=1", tree=huge)
    assert likeness(found, moves("reg@set=1", "n@set=2", tree=huge)) > 0.5


SEATS = st.lists(
    st.builds(
        lambda parent, group, priority, edits: (parent, group, priority, tuple(edits)),
        st.integers(1, 3), st.sampled_from("abc"), st.integers(0, 3), CHANGES.filter(bool),
    ),
    max_size=12,
)  # fmt: skip


@given(SEATS, st.integers(1, 4), st.integers(1, 6))
def test_near_twins_do_not_both_get_seats_while_others_of_their_right_wait(
    found: list[tuple[int, str, int, tuple[str, ...]]], per_parent: int, places: int
) -> None:
    seats = [
        Seat(parent=JobId(parent), group=group, priority=priority, config=f"{parent}{edits}", moves=moves(*edits))
        for parent, group, priority, edits in found
    ]
    chosen = [seats[at] for at in diverse(seats, per_parent=per_parent, places=places)]
    assert chosen == [seats[at] for at in diverse(seats, per_parent=per_parent, places=places)]
    keys = [seat.config for seat in chosen]
    assert len(keys) == len(set(keys)) == min(places, len({seat.config for seat in seats}))
    for turn, seat in enumerate(chosen):
        before = chosen[:turn]
        if is_twin(seat, before):
            left = [one for one in seats if one.config not in keys[:turn] and heard(one, before) <= heard(seat, before)]
            assert all(is_twin(one, before) for one in left), "one that was no twin, and had been heard no more, waited"


def is_twin(seat: Seat, others: list[Seat]) -> bool:
    return any(are_twins(seat.moves, one.moves) for one in others)


def heard(seat: Seat, others: list[Seat]) -> int:
    return sum(one.parent == seat.parent for one in others)
