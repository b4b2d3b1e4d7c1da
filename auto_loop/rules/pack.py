"""Packs: from TOML text to a `Pack`, whole or not at all, with every fault at its line.

`extends` names packs that are merged first; `default` is implied. What a pack says itself wins: metrics, ranges and
the like by their names, rules, stops and diagnoses by theirs, laws by their metric and name (without one, by metric,
`only` and `when`), remedies by their failure; an `allow` list replaces.
"""

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.paths import Path, render_path
from auto_loop.rules.guardrail_sections import read_guardrails
from auto_loop.rules.model import Law, Pack
from auto_loop.rules.sections import (
    read_diagnosis,
    read_law,
    read_metrics,
    read_objective,
    read_remedy,
    read_rule,
    read_stop,
)
from auto_loop.rules.tables import Lines, Table

DEFAULT = "default"
CASES = ".cases.toml"  # what the cases that try a pack are called, beside it
_PACKS = files("auto_loop.rules.packs")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def shipped_names() -> tuple[str, ...]:
    """The names of the packs that come with the package."""
    files_ = (entry.name for entry in _PACKS.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files_ if name.endswith(".toml") and CASES not in name))


def shipped_cases(name: str) -> str:
    """The text of a shipped pack's cases."""
    return (_PACKS / f"{name}{CASES}").read_text(encoding="utf-8")


def shipped_text(name: str) -> str:
    """The text of a shipped pack. MisuseError names the known ones."""
    if name not in shipped_names():
        hint = f"shipped: {', '.join(shipped_names())}; or give the file of your own pack"
        raise MisuseError(Fault(what=f"no pack named {name!r}", hint=hint))
    return (_PACKS / f"{name}.toml").read_text(encoding="utf-8")


@lru_cache(maxsize=16)
def shipped_pack(name: str) -> Pack:
    """A shipped pack, parsed."""
    return parse(shipped_text(name), shipped_text, name=name)


def parse(text: str, load: Callable[[str], str] = shipped_text, *, name: str = "pack") -> Pack:
    """The pack that `text` says; `load` gives the text of a pack that it extends.

    `name` stands in where the text names none. MisuseError carries every fault with line and pointer.
    """
    return _parse(text, load, name, ())


def _parse(text: str, load: Callable[[str], str], name: str, above: tuple[str, ...]) -> Pack:
    faults: list[Fault] = []
    table = Table(_toml(text, name), (), Lines(text), faults)
    base = _bases(table, load, table.get("name", str, name), above)
    own = _read(table, name)
    table.done()
    if faults:
        raise MisuseError([replace(fault, where=f"pack {name}, {fault.where}") for fault in faults])
    return _merged(base, own)


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        where = f"pack {name}, line {at.group(1)}" if at else f"pack {name}"
        raise MisuseError(Fault(what=f"not TOML: {what}", where=where, pointer=_line(text, at))) from None


def _line(text: str, at: re.Match[str] | None) -> str:
    if at is None:
        return ""
    line = text.splitlines()[int(at.group(1)) - 1 :][:1]
    return f"    {line[0]}\n    {' ' * (int(at.group(2)) - 1)}^" if line else ""


def _bases(table: Table, load: Callable[[str], str], name: str, above: tuple[str, ...]) -> Pack:
    """The packs that this one extends, merged in their order."""
    wanted = table.texts("extends")
    names = wanted if DEFAULT in wanted or name == DEFAULT else (DEFAULT, *wanted)
    base = Pack(name=name)
    for one in names:
        if one in (*above, name):
            table.wrong("extends", f"goes round in a circle: {' → '.join((*above, name, one))}")
            continue
        try:
            base = _merged(base, _parse(load(one), load, one, (*above, name)))
        except MisuseError as error:
            table.faults.extend(error.faults)
    return base


def _read(table: Table, name: str) -> Pack:
    metrics, key = read_metrics(table.table("metrics"))
    rules = [read_rule(one) for one in table.tables("rule")]
    stops = [read_stop(one) for one in table.tables("stop")]
    remedies = [read_remedy(one) for one in table.tables("remedy")]
    laws = [read_law(one) for one in table.tables("law")]
    diagnoses = [read_diagnosis(one) for one in table.tables("diagnosis")]
    pack = Pack(
        name=table.get("name", str, name),
        objective=read_objective(table.table("objective")),
        metrics=metrics,
        key_metrics=key,
        guardrails=read_guardrails(table.table("guardrails")),
        rules=tuple(rule for rule in rules if rule is not None),
        stops=tuple(stop for stop in stops if stop is not None),
        remedies=tuple(remedy for remedy in remedies if remedy is not None),
        laws=tuple(law for law in laws if law is not None),
        diagnoses=tuple(diagnosis for diagnosis in diagnoses if diagnosis is not None),
    )
    _say_twins(pack, table)
    return replace(pack, aliases=_aliases(pack, table))


def _say_twins(pack: Pack, table: Table) -> None:
    for kind in ("rule", "stop", "diagnosis"):
        names = [one.data.get("name") for one in table.tables(kind)]
        for twice in sorted({one for one in names if isinstance(one, str) and names.count(one) > 1}):
            table.wrong(kind, f"two of them are named {twice!r}")
    laws = [_case(law) for law in pack.laws]
    for metric, name, *_ in sorted({law for law in laws if laws.count(law) > 1}):
        same = f"are named {name!r}" if name else "say the same `only` and `when`"
        table.wrong("law", f"two of them are of {metric!r} and {same}", "" if name else "give each a name")


def _aliases(pack: Pack, table: Table) -> dict[str, str]:
    """Each other name of a metric, and the metric that it stands for."""
    found: dict[str, str] = {}
    for metric in pack.metrics.values():
        for alias in metric.aliases:
            other = alias if alias in pack.metrics else found.setdefault(alias, metric.name)
            if other != metric.name:
                table.wrong("metrics", f"{alias!r} cannot stand for {metric.name}: it stands for {other}")
    return found


def _merged(base: Pack, own: Pack) -> Pack:
    """`own` over `base`; a name that `own` gives to a metric is taken from the one that had it in `base`."""
    claimed = {*own.metrics, *own.aliases}
    inherited = {
        name: replace(metric, aliases=tuple(alias for alias in metric.aliases if alias not in claimed))
        for name, metric in base.metrics.items()
        if name not in own.aliases
    }
    has_goal = bool(own.objective.metric or own.objective.expression)
    return Pack(
        name=own.name,
        objective=own.objective if has_goal else base.objective,
        metrics={**inherited, **own.metrics},
        key_metrics=own.key_metrics or base.key_metrics,
        aliases={**{alias: name for name, metric in inherited.items() for alias in metric.aliases}, **own.aliases},
        guardrails=_merged_rails(base.guardrails, own.guardrails),
        rules=_by_name(base.rules, own.rules),
        stops=_by_name(base.stops, own.stops),
        remedies=(
            *own.remedies,
            *(one for one in base.remedies if one.failure not in {r.failure for r in own.remedies}),
        ),
        laws=(*own.laws, *(one for one in base.laws if _case(one) not in set(map(_case, own.laws)))),
        diagnoses=_by_name(base.diagnoses, own.diagnoses),
    )


def _case(law: Law) -> tuple[str, ...]:
    """What makes two laws the same one: their metric and name; without a name, the case that they are for."""
    if law.name:
        return law.metric, law.name
    only = () if law.only is None else ("only", *sorted(map(render_path, law.only)))
    return law.metric, "", law.when.text if law.when else "", *only


def _by_name(base: Iterable[N], own: Iterable[N]) -> tuple[N, ...]:
    mine = tuple(own)
    return (*mine, *(one for one in base if one.name not in {two.name for two in mine}))


class _Placed(Protocol):
    @property
    def path(self) -> Path: ...


R = TypeVar("R", bound=_Placed)


def _by_path(base: tuple[R, ...], own: tuple[R, ...]) -> tuple[R, ...]:
    return (*(one for one in base if one.path not in {two.path for two in own}), *own)


def _merged_rails(base: Guardrails, own: Guardrails) -> Guardrails:
    derive = _by_path(base.derive, own.derive)
    return Guardrails(
        allow=base.allow if own.allow is None else own.allow,
        ignore=tuple(dict.fromkeys((*base.ignore, *own.ignore))),
        derive=tuple(sorted(derive, key=lambda one: not one.multiple)),
        ranges=_by_path(base.ranges, own.ranges),
        choices=_by_path(base.choices, own.choices),
        relations=(*base.relations, *own.relations),
        forbid=(*base.forbid, *own.forbid),
    )
