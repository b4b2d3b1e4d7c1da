"""Derivations: values of a config that are computed from others, or rounded up to a multiple of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from auto_loop.domain.config import Config, FieldTypes, Json
from auto_loop.domain.edits import Edit, Op, apply
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.paths import BrokenPathError, Path, expand, get, render_path


class Formula(Protocol):
    """An expression over a config, parsed by a room above: None when its value is not known."""

    @property
    def text(self) -> str:
        """The source text."""

    def of_config(self, tree: dict[str, Json]) -> Json:
        """The value for this config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """The value at `path` is computed. With `multiple` it is rounded up to the next multiple of the formula."""

    path: Path
    formula: Formula
    multiple: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """The config after every derivation, the edits that it took, notes on them, and what could not be derived."""

    config: Config
    added: tuple[Edit, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def derive(parent: Config, config: Config, rules: Sequence[Derivation], types: FieldTypes) -> Derived:
    """`config` with every derivation done, in their order. What its parent cannot say either is left as it is."""
    added: list[Edit] = []
    notes: list[str] = []
    faults: list[Fault] = []
    for rule in rules:
        tree = config.data()
        basis = _basis(rule, tree)
        if basis is None:
            if _basis(rule, parent.data()) is not None:
                faults.append(Fault(what=f"`{render_path(rule.path)}` can no longer be {_words(rule)}"))
            continue
        for place in _places(tree, rule.path):
            old = get(tree, place)
            new = _value(rule, basis, old)
            if new is None or new == old:
                continue
            edit = Edit(path=place, op=Op.SET, value=new)
            try:
                config = apply(config, [edit], types)
            except MisuseError as error:
                faults += [Fault(what=f"not {_words(rule)}: {one.render()}") for one in error.faults]
                continue
            added.append(edit)
            notes.append(f"{render_path(place)}: {old} → {new}, {_words(rule)}")
    return Derived(config=config, added=tuple(added), notes=tuple(notes), faults=tuple(faults))


def _words(rule: Derivation) -> str:
    return f"{'rounded up to a multiple of' if rule.multiple else 'derived as'} {rule.formula.text}"


def _places(tree: dict[str, Json], path: Path) -> list[Path]:
    try:
        return expand(tree, path)
    except BrokenPathError:
        return []  # this config has no such place


def _basis(rule: Derivation, tree: dict[str, Json]) -> float | None:
    """The formula's number; None when it is not known, or is nothing to take multiples of."""
    value = rule.formula.of_config(tree)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if rule.multiple and value <= 0 else value


def _value(rule: Derivation, basis: float, old: Json) -> Json:
    """The value that takes the place of `old`; None when a multiple is to be taken of what is no number."""
    if not rule.multiple:
        return _plain(basis)
    if isinstance(old, bool) or not isinstance(old, int | float):
        return None
    return _plain(-(-old // basis) * basis)


def _plain(value: float) -> Json:
    return int(value) if isinstance(value, float) and value.is_integer() else value
