"""A round's spread: how alike two proposals are by what they change, and which of many make a diverse round. Pure.

A rule's group says what it is for, but two rules of different groups may push the same value the same way. So what a
proposal changes is compared as well: the same value pushed the same way is the same nudge, whatever it is called.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from auto_loop.domain.config import Config, Json
from auto_loop.domain.job import JobId
from auto_loop.domain.paths import Path, leaves

# More alike than not. Any two pushes of one value the same way lie above it, by however much: a step of 1.5 and one of
# 10 try the same idea. Two proposals that share one change of two do not.
TWINS_ABOVE = 0.5
# A number that comes from zero, leaves it or changes its sign has no ratio; it counts as a step of ten times.
_FROM_ZERO = math.log(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A number goes up or down; `size` is |ln(new / old)|."""

    up: bool
    size: float


# What becomes of each place that changes: a number is pushed; anything else is another value, as JSON text.
Moves: TypeAlias = Mapping[Path, Push | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What the choice needs to know of a proposal. `config` is a key: no two of one key are chosen."""

    parent: JobId
    group: str
    priority: int
    config: str
    moves: Moves


def moves_of(parent: Config, child: Config) -> dict[Path, Push | str]:
    """What the child changes of its parent, leaf by leaf; a leaf that is gone has moved to nothing."""
    before, after = dict(leaves(parent.data())), dict(leaves(child.data()))
    moved: dict[Path, Push | str] = dict.fromkeys(before.keys() - after.keys(), "")
    for path, new in after.items():
        old = before.get(path)
        if old is None and path not in before:
            moved[path] = json.dumps(new)
        elif (move := _move(old, new)) is not None:
            moved[path] = move
    return moved


def likeness(one: Moves, other: Moves) -> float:
    """How alike two proposals are by what they change: 0 nothing in common, 1 the same.

    A weighted Jaccard index over the places that either changes. A place that both push the same way counts one half,
    and the other half by how near the steps are; one that goes to the same value counts whole.
    """
    shared = one.keys() & other.keys()
    if not shared:
        return 0.0
    return sum(_alike(one[path], other[path]) for path in shared) / len(one.keys() | other.keys())


def are_twins(one: Moves, other: Moves) -> bool:
    """Whether two proposals are the same nudge."""
    return likeness(one, other) > TWINS_ABOVE


def diverse(seats: Sequence[Seat], *, per_parent: int, places: int) -> list[int]:
    """The positions of the diverse best, in the order of choice; `seats` in the order in which they were offered.

    The least-heard parent goes first, then what is no twin of one that is chosen, then the least-heard group, then
    priority, then the order of the offer. `per_parent` holds as long as others fill the places.
    """
    chosen: list[int] = []
    parents: Counter[JobId] = Counter()
    groups: Counter[str] = Counter()
    twins: Counter[int] = Counter()
    taken: set[str] = set()
    for cap in (per_parent, places):
        while len(chosen) < places:
            free = [at for at, seat in enumerate(seats) if seat.config not in taken and parents[seat.parent] < cap]
            if not free:
                break
            best = min(free, key=lambda at: _order(seats[at], at, parents, groups, twins))
            seat = seats[best]
            chosen.append(best)
            taken.add(seat.config)
            parents[seat.parent] += 1
            groups[seat.group] += 1
            twins.update(at for at, other in enumerate(seats) if are_twins(other.moves, seat.moves))
    return chosen


def _order(
    seat: Seat, at: int, parents: Counter[JobId], groups: Counter[str], twins: Counter[int]
) -> tuple[int, int, int, int, int]:
    return parents[seat.parent], twins[at], groups[seat.group], -seat.priority, at


def _move(old: Json, new: Json) -> Push | str | None:
    """None where nothing changes but the way a number is written."""
    if _is_number(old) and _is_number(new):
        assert isinstance(old, int | float)
        assert isinstance(new, int | float)
        return None if old == new else Push(up=new > old, size=_step(old, new))
    text = json.dumps(new, sort_keys=True)
    return None if json.dumps(old, sort_keys=True) == text else text


def _step(old: float, new: float) -> float:
    """|ln(new / old)|, as the difference of two logarithms, which no size of numbers overflows."""
    if old == 0 or new == 0 or (old > 0) != (new > 0):
        return _FROM_ZERO
    return abs(math.log(abs(new)) - math.log(abs(old)))


def _alike(one: Push | str, other: Push | str) -> float:
    if isinstance(one, Push) and isinstance(other, Push):
        if one.up != other.up:
            return 0.0
        longer = max(one.size, other.size)
        return 0.5 + 0.5 * (min(one.size, other.size) / longer if longer else 1.0)
    return 1.0 if one == other else 0.0


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
