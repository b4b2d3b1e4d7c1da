"""Guardrails: what a proposal may touch, and how far. Data of a pack, applied to the config that edits made.

The order is edits → `multiple_of` and `derive` (recorded) → `range` (clamped and said, or refused) → `choice`,
`relation`, `forbid`. Only what a proposal changes is held to the allow-list, ranges and choices; relations and
forbidden states are judged on the whole config.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, Json
from auto_loop.domain.derivations import Derivation, Formula, derive
from auto_loop.domain.edits import Edit, Op, apply, render_edit
from auto_loop.domain.errors import Fault
from auto_loop.domain.paths import (
    BrokenPathError,
    Index,
    Path,
    expand,
    get,
    leads_to,
    leaves,
    matches,
    render_path,
)

__all__ = ["Checked", "Choice", "Derivation", "Forbidden", "Formula", "Guardrails", "Range", "Relation", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """`low` ≤ the number at `path` ≤ `high`; an end that is None is open. null passes."""

    path: Path
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The value at `path` is one of `values`."""

    path: Path
    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What must hold in the whole config. Unknown passes, unless it was known of the parent."""

    formula: Formula
    reason: Formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A state that no config may be in. With `each`, it is judged for every place of that path, called `item`.

    `suggest` is an edit that helps, relative to the place.
    """

    when: Formula
    reason: Formula
    each: Path | None = None
    suggest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """All of a pack's bounds. `allow` None: everything may be changed.

    `ignore` are places that do not make a config another one: output folders, names, logging, the seed.
    """

    allow: tuple[Path, ...] | None = None
    derive: tuple[Derivation, ...] = ()
    ranges: tuple[Range, ...] = ()
    choices: tuple[Choice, ...] = ()
    relations: tuple[Relation, ...] = ()
    forbid: tuple[Forbidden, ...] = ()
    ignore: tuple[Path, ...] = ()


_NEW: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The config after derivations and clamps, the edits that these added, notes on them, and what is wrong."""

    config: Config
    added: tuple[Edit, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def check(
    parent: Config, edits: Sequence[Edit], rails: Guardrails, *, clamp: bool, types: FieldTypes = NO_TYPES
) -> Checked:
    """The parent's config under `edits` and `rails`.

    `clamp`, for a rule's edits, pulls a number back into its range, and lets a derived value win over an edit's; notes
    say so. Otherwise both are faults.

    Raises MisuseError when the edits themselves do not apply.
    """
    made = apply(parent, edits, types)
    before = _leaves(parent)
    touched = _changed(before, made)
    gone = before.keys() - _leaves(made).keys()
    faults = [*_off_list(parent, edits, {*touched, *gone}, rails), *_changed_kinds(before, touched, types)]
    derived = derive(parent, made, rails.derive, types)
    added, notes = derived.added, derived.notes
    clamps, said = _clamps(_changed(before, derived.config), rails) if clamp else ((), ())
    if clamps:
        derived = derive(parent, apply(derived.config, clamps, types), rails.derive, types)
        added, notes = (*added, *clamps, *derived.added), (*notes, *said, *derived.notes)
    config = derived.config
    changed = _changed(before, config)
    faults += [*derived.faults, *_out_of_range(changed, rails), *_no_choice(changed, rails)]
    faults += _broken(config.data(), parent.data(), rails)
    if not clamp:
        faults += _overridden({*touched, *_named(parent, edits)}, made, config, rails)
    return Checked(config=config, added=added, notes=notes, faults=tuple(faults))


@lru_cache(maxsize=64)
def _leaves(config: Config) -> Mapping[Path, Json]:
    return dict(leaves(config.data()))


def _changed(before: Mapping[Path, Json], config: Config) -> dict[Path, Json]:
    """The leaves of `config` that are new or differ, type and all."""
    found: dict[Path, Json] = {}
    for path, value in _leaves(config).items():
        old = before.get(path, _NEW)  # one look-up: hashing a path is what this costs
        if type(old) is not type(value) or old != value:
            found[path] = value
    return found


def _off_list(parent: Config, edits: Sequence[Edit], touched: Set[Path], rails: Guardrails) -> Iterator[Fault]:
    """A fault for each place off the allow-list: leaves that changed, and edits of a place that did not change.

    A list or mapping on the list may change as a whole.
    """
    if rails.allow is None:
        return
    allow = rails.allow
    named = _named(parent, edits)
    open_wholes = [place for place in named if any(matches(place, pattern) for pattern in allow)]
    silent = [place for place in named if not any(leads_to(leaf, place) for leaf in touched)]
    for place in dict.fromkeys(sorted((*touched, *silent), key=render_path)):
        allowed = any(matches(place, pattern) for pattern in allow) or any(
            len(whole) <= len(place) and leads_to(place, whole) for whole in open_wholes
        )
        if not allowed:
            yield Fault(what=f"`{render_path(place)}` is not on the pack's allow-list")


def _named(parent: Config, edits: Sequence[Edit]) -> set[Path]:
    return {place for edit in edits for place in _places(parent, edit)}


def _places(parent: Config, edit: Edit) -> list[Path]:
    try:
        return expand(parent.data(), edit.path, may_make_last=True)
    except BrokenPathError:
        return [edit.path]  # made by an edit before it; its leaves are judged


def _changed_kinds(before: Mapping[Path, Json], touched: Mapping[Path, Json], types: FieldTypes) -> Iterator[Fault]:
    """A fault for each place whose kind of value would change; null may become anything, and most things null."""
    wholes = {path[:depth] for path in before for depth in range(1, len(path))}
    for path, value in touched.items():
        above = next((path[:depth] for depth in range(1, len(path)) if before.get(path[:depth]) is not None), None)
        old, new = before.get(path), _family(value)
        if above is not None and before[above] not in ([], {}):
            yield Fault(what=f"`{render_path(above)}` is {_family(before[above])}, and would hold items of its own")
        elif value is None and not types.takes_null(path):
            yield Fault(what=f"`{render_path(path)}` is never null")
        elif value is not None and path in wholes and new != _family([]):
            yield Fault(what=f"`{render_path(path)}` holds items of its own, and {value!r} is {new}")
        elif old is not None and value is not None and _family(old) != new:
            yield Fault(what=f"`{render_path(path)}` is {_family(old)}, and {value!r} is {new}")
        elif isinstance(path[-1], Index) and path not in before and (*path[:-1], Index(0)) in wholes:
            yield Fault(what=f"the items of `{render_path(path[:-1])}` hold items of their own, and {value!r} does not")


def _family(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "a text" if isinstance(value, str) else "a list or mapping"


def _clamps(changed: Mapping[Path, Json], rails: Guardrails) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits that pull each changed number back into its range, and what to say of them."""
    edits: list[Edit] = []
    notes: list[str] = []
    for path, value in changed.items():
        for bound in rails.ranges:
            if not matches(path, bound.path) or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            inside = _inside(value, bound)
            if inside != value:
                edits.append(Edit(path=path, op=Op.SET, value=inside))
                notes.append(f"{render_path(path)}: {value:g} clamped to {inside:g}, {_range_words(bound)}")
    return tuple(edits), tuple(notes)


def _inside(value: float, bound: Range) -> float:
    if bound.low is not None and value < bound.low:
        return bound.low
    return bound.high if bound.high is not None and value > bound.high else value


def _out_of_range(changed: Mapping[Path, Json], rails: Guardrails) -> Iterator[Fault]:
    for path, value in changed.items():
        for bound in rails.ranges:
            if len(path) < len(bound.path) or not leads_to(path, bound.path):
                continue
            if value is None and len(path) == len(bound.path):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or len(path) > len(bound.path):
                yield Fault(what=f"`{render_path(path[: len(bound.path)])}` takes a number, not {_family(value)}")
            elif _inside(value, bound) != value:
                inside = Edit(path=path, op=Op.SET, value=_inside(value, bound))
                what = f"`{render_path(path)}` would be {value}, and its {_range_words(bound)}"
                yield Fault(what=what, hint=f"the nearest that is allowed: {render_edit(inside)}")


def _overridden(asked: Set[Path], made: Config, config: Config, rails: Guardrails) -> Iterator[Fault]:
    """A fault for each value that was asked for, and is derived as another one; a mere rounding up is none."""
    before, after = _leaves(made), _leaves(config)
    for rule in rails.derive:
        for path, value in after.items():
            if not rule.multiple and path in asked and matches(path, rule.path) and before.get(path) != value:
                what = f"`{render_path(path)}` would be {before.get(path)!r}, and is derived as {rule.formula.text}"
                yield Fault(what=f"{what}: {value!r}")


def _range_words(bound: Range) -> str:
    low = "any number" if bound.low is None else f"{bound.low:g}"
    return f"range is {low} to {'any number' if bound.high is None else f'{bound.high:g}'}"


def _no_choice(changed: Mapping[Path, Json], rails: Guardrails) -> Iterator[Fault]:
    for path, value in changed.items():
        for choice in rails.choices:
            if matches(path, choice.path) and not any(
                type(one) is type(value) and one == value for one in choice.values
            ):
                known = ", ".join(repr(one) for one in choice.values)
                yield Fault(what=f"`{render_path(path)}` would be {value!r}, and it takes one of {known}")


def _broken(tree: dict[str, Json], before: dict[str, Json], rails: Guardrails) -> Iterator[Fault]:
    """A fault for each relation that does not hold, or can no longer be judged, and for each forbidden state."""
    for relation in rails.relations:
        holds = relation.formula.of_config(tree)
        if holds is False:
            yield Fault(what=str(relation.reason.of_config(tree)), hint=f"must hold: {relation.formula.text}")
        elif holds is None and relation.formula.of_config(before) is not None:
            yield Fault(what=f"nobody could say any more whether this holds: {relation.formula.text}")
    for state in rails.forbid:
        for place in _judged_places(tree, state):
            seen = tree if place is None else {**tree, "item": get(tree, place)}
            if state.when.of_config(seen) is True:
                where = "" if place is None else render_path(place)
                helps = ".".join(part for part in (where, state.suggest) if part)
                hint = f"what helps: {helps}" if state.suggest else ""
                yield Fault(what=str(state.reason.of_config(seen)), where=where, hint=hint)


def _judged_places(tree: dict[str, Json], state: Forbidden) -> Sequence[Path | None]:
    if state.each is None:
        return (None,)
    try:
        return expand(tree, state.each)
    except BrokenPathError:
        return ()
