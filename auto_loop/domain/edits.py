"""Edits at work: applying them to a config, and finding those that lead from one config to another.

The base is never altered; edits apply in order, and all or nothing. The language itself is `edit_text`.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import assert_never

from auto_loop.domain import edit_values as values
from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, integral
from auto_loop.domain.edit_text import Edit, Op, edit_fault, parse_edit, parse_edits, render_edit, span_of, to_change
from auto_loop.domain.edit_values import ValueRefusedError
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.paths import BrokenPathError, Index, Json, Key, Path, expand, get, kind, nearest, render_path

__all__ = ["Edit", "Op", "apply", "diff", "parse_edit", "parse_edits", "render_edit", "to_change"]

_ARITHMETIC = (Op.MUL, Op.ADD, Op.MIN, Op.MAX)


def apply(config: Config, edits: Iterable[Edit], types: FieldTypes = NO_TYPES) -> Config:
    """The config after all `edits`, in order.

    Raises MisuseError with the faults of all edits: each names the path, points at the place where it broke, and
    gives the nearest names. An edit with a fault is left out while the later ones are tried.
    """
    data: Json = config.data()
    faults: list[Fault] = []
    for edit in edits:
        try:
            data = _applied(data, edit, types)
        except BrokenPathError as error:
            faults.append(edit_fault(edit, span_of(edit, error.depth), error.what, error.hint))
        except ValueRefusedError as error:
            faults.append(edit_fault(edit, span_of(edit), error.what, error.hint))
    if faults or not isinstance(data, dict):
        raise MisuseError(faults)
    return Config.of(data)


def _applied(data: Json, edit: Edit, types: FieldTypes) -> Json:
    """A changed copy of `data`; the edit is done at every place of its path, or at none."""
    data = _copied(data)
    if not edit.path and edit.op is not Op.REMOVE:
        raise ValueRefusedError(f"@{edit.op} needs a path")
    may_make = edit.op is Op.SET or edit.op in _ARITHMETIC
    for place in expand(data, edit.path, may_make_last=may_make):
        if edit.op is Op.APPEND:
            _append(get(data, place), edit, place, types)
        elif edit.op is Op.REMOVE:
            _remove(get(data, place), edit.value)
        else:
            _replace(data, place, edit, types)
    return data


def _copied(data: Json) -> Json:
    """A copy of plain JSON: `copy.deepcopy` of it takes five times as long, and configs are copied for every edit."""
    if isinstance(data, dict):
        return {name: _copied(item) for name, item in data.items()}
    return [_copied(item) for item in data] if isinstance(data, list) else data


def _replace(data: Json, place: Path, edit: Edit, types: FieldTypes) -> None:
    """Puts the new value at `place`, whose last name may be missing there."""
    parent = get(data, place[:-1])
    match parent, place[-1]:
        case dict(), Key(name):
            there = name in parent
            old = parent[name] if there else _stand_in(data, parent, name, edit, place, types)
            parent[name] = _new_value(old, edit, place, types)
        case list(), Index(number):
            parent[number] = _new_value(parent[number], edit, place, types)
        case _:
            raise AssertionError("expand yields only places that are there")


def _stand_in(data: Json, parent: dict[str, Json], name: str, edit: Edit, place: Path, types: FieldTypes) -> Json:
    """What counts as the old value of a key that is missing: the class's default, if known, else nothing for `set`."""
    last = len(edit.path) - 1
    default = types.default(place)
    if default is not None or (edit.op is Op.SET and types.has(place)):
        return default
    near = nearest(name, parent, data, edit.path)
    if edit.op is Op.SET:
        raise BrokenPathError(edit.path, last, f"the trainer's config class has no `{render_path(place)}`", near)
    what = f"`{render_path(place)}` is not there, and no default of it is known"
    raise BrokenPathError(edit.path, last, what, f"{near}; or @set it")


def _new_value(old: Json, edit: Edit, place: Path, types: FieldTypes) -> Json:
    """What the edit makes of the value `old` at `place`."""
    integer, real = types.is_int(place), types.is_float(place)
    try:
        match edit.op:
            case Op.SET:
                new = values.fit(old, edit.value, integer=integer, real=real)
                return integral(new, types, place, [])
            case Op.MUL:
                return values.multiply(old, edit.value, integer=integer, real=real)
            case Op.ADD:
                return values.add(old, edit.value, integer=integer, real=real)
            case Op.MIN:
                return values.fit(old, values.smaller(old, edit.value), integer=integer, real=real)
            case Op.MAX:
                return values.fit(old, values.larger(old, edit.value), integer=integer, real=real)
            case Op.APPEND | Op.REMOVE:
                raise AssertionError("these change a list or mapping in place")
            case _:
                assert_never(edit.op)
    except ValueRefusedError as error:
        if len(edit.path) and render_path(place) != render_path(edit.path):
            raise ValueRefusedError(f"at `{render_path(place)}`: {error.what}", error.hint) from None
        raise


def _append(target: Json, edit: Edit, place: Path, types: FieldTypes) -> None:
    if not isinstance(target, list):
        hint = "write path.name@set=value" if isinstance(target, dict) else "@set takes a whole list"
        raise BrokenPathError(edit.path, len(edit.path) - 1, f"@append takes a list, and here is {kind(target)}", hint)
    target.append(integral(copy.deepcopy(edit.value), types, (*place, Index(len(target))), []))


def _remove(target: Json, item: Json) -> None:
    """Takes the item with that index, or that key, out of `target`."""
    match target, item:
        case list(), int() if not isinstance(item, bool):
            if not 0 <= item < len(target):
                hint = f"it takes 0 to {len(target) - 1}" if target else "it is empty"
                raise ValueRefusedError(f"the list of {len(target)} has no item {item}", hint)
            del target[item]
        case list(), _:
            raise ValueRefusedError("an item of a list is removed by its index", "a number from 0")
        case dict(), (str() | int()) if not isinstance(item, bool):
            if str(item) not in target:
                raise ValueRefusedError(f"there is no key {str(item)!r} to remove", nearest(str(item), target, target))
            del target[str(item)]
        case dict(), _:
            raise ValueRefusedError("an item of a mapping is removed by its key", 'write @remove="key"')
        case _:
            raise ValueRefusedError(f"@remove takes a list or mapping, and here is {kind(target)}")


def diff(a: Config, b: Config) -> tuple[Edit, ...]:
    """The edits that make `b` of `a`: `apply(a, diff(a, b))` holds the same tree as `b`.

    Where shape and type agree they are one `set` for each leaf that differs; else keys are removed and set, and
    lists grow and shrink at their ends.
    """
    return tuple(_mapping_diff(a.data(), b.data(), ()))


def _mapping_diff(a: dict[str, Json], b: dict[str, Json], place: Path) -> Iterator[Edit]:
    for name in a:
        if name not in b:
            yield Edit(path=place, op=Op.REMOVE, value=name)
    for name, new in b.items():
        here = (*place, Key(name))
        if name not in a:
            yield Edit(path=here, value=new)
            continue
        edits = _value_diff(a[name], new, here)
        if edits is None:
            yield Edit(path=place, op=Op.REMOVE, value=name)
            yield Edit(path=here, value=new)
        else:
            yield from edits


def _value_diff(a: Json, b: Json, place: Path) -> list[Edit] | None:
    """The edits below one place; None when no edit of that place alone can make `b` of `a`."""
    if _same(a, b):
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        return list(_mapping_diff(a, b, place))
    if isinstance(a, list) and isinstance(b, list):
        return _list_diff(a, b, place)
    try:
        settable = _same(values.fit(a, b, integer=False, real=False), b)
    except ValueRefusedError:
        settable = False
    return [Edit(path=place, value=b)] if settable else None


def _list_diff(a: list[Json], b: list[Json], place: Path) -> list[Edit]:
    edits: list[Edit] = []
    for number, (old, new) in enumerate(zip(a, b, strict=False)):
        below = _value_diff(old, new, (*place, Index(number)))
        if below is None:
            return [Edit(path=place, value=b)]
        edits += below
    edits += [Edit(path=place, op=Op.APPEND, value=item) for item in b[len(a) :]]
    edits += [Edit(path=place, op=Op.REMOVE, value=number) for number in range(len(a) - 1, len(b) - 1, -1)]
    return edits


def _same(a: Json, b: Json) -> bool:
    """Equal as JSON text, so that 1, 1.0 and true are three things."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
