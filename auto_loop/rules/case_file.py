"""Files of rule cases: from TOML text to `CaseFile`, whole or not at all, with every fault at its line.

    pack = "act_ot"                   a shipped pack or a file; else the pack that this file is named for
    steps = 50                        the step between two points, and of the first; a case's own wins
    [config]                          the config of every case that has none of its own; or config = "FILE"

    [[case]]
    name = "the loss diverges"
    config = "FILE"                   or a table
    config_edits = ["lr@set=0.1"]     on the config
    series."train/loss" = "1.0-0.1x5 0.5x10"
    log = "the end of the job's log"
    first_step = 0                    where the first point stands, in place of `steps`

and what is expected, at least one of these: `fires` (exactly these rules, in this order), `fires_first` (these come
first), `silent` (none of these fires), `stops` (the live rule that ends the run, and `at` which step; [] for none),
`warns` (the live rules that only say so), `diagnoses` (exactly these), and of the first proposal, or of the one by
rule `of`: `change` (these edits are among its own) and `predicts` (what the pack's laws expect of a metric).
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from auto_loop.domain.config import Config, Json
from auto_loop.domain.edits import Edit, apply, parse_edit, to_change
from auto_loop.domain.errors import Fault, MisuseError, pointer
from auto_loop.rules.case_model import Aim, Case, CaseFile, Expected, LiveAt
from auto_loop.rules.case_series import parse_series
from auto_loop.rules.model import Pack, Then
from auto_loop.rules.tables import Lines, Table

USUAL_STEPS = 50
_NO_OTHERS: Mapping[str, list[str]] = {}
WITHIN = 0.01  # of the value: laws are read with about as many digits as people write


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How a file of cases gets at what it names: packs and configs, by the texts in it. `pack` is the one that it is
    about when it names none."""

    load_pack: Callable[[str], Pack]
    load_config: Callable[[str], Config]
    pack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usual:
    """What holds for the cases that say nothing else."""

    pack: Pack
    config: Config | None
    steps: int
    load_config: Callable[[str], Config]


def parse_cases(text: str, loading: Loading, *, name: str = "cases") -> CaseFile:
    """The cases that `text` writes. MisuseError carries every fault with its line, and its pointer where it has one."""
    faults: list[Fault] = []
    table = Table(_toml(text, name), (), Lines(text), faults)
    named = table.get("pack", str, "") or loading.pack
    pack = table.parse("pack", named, loading.load_pack) if named else None
    if not named:
        table.wrong("", "no pack is named", 'write pack = "default", or the file of your own')
    usual = _Usual(
        pack=pack or Pack(name=named),
        config=_config(table, loading.load_config),
        steps=_steps(table, USUAL_STEPS),
        load_config=loading.load_config,
    )
    cases = [_case(below, usual, knows=pack is not None) for below in table.tables("case")]
    if not cases and not faults:
        table.wrong("", "there is no [[case]] in it")
    for twice in sorted({one.name for one in cases if [two.name for two in cases].count(one.name) > 1}):
        table.wrong("case", f"two of them are named {twice!r}")
    table.done()
    if faults or pack is None:
        raise MisuseError([replace(fault, where=f"{name}, {fault.where}" if fault.where else name) for fault in faults])
    return CaseFile(pack=pack, cases=tuple(cases))


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        line = text.splitlines()[int(at[1]) - 1 :][:1] if at else []
        shown = pointer(line[0], int(at[2]) - 1, int(at[2])) if at and line else ""
        where = f"{name}, line {at[1]}" if at else name
        raise MisuseError(Fault(what=f"not TOML: {what}", where=where, pointer=shown)) from None


def _case(table: Table, usual: _Usual, *, knows: bool) -> Case:
    name = table.get("name", str, "", required=True)
    steps = _steps(table, usual.steps)
    first = table.get("first_step", int, steps)
    config = _edited(table, _config(table, usual.load_config) if "config" in table.data else usual.config)
    points = {
        metric: _points(below, metric, first, steps) for below in [table.table("series")] for metric in below.data
    }
    log = table.get("log", str, "")
    expected = _expected(table)
    if expected == Expected(of=expected.of):
        table.wrong("", "it expects nothing", "write fires = [...], silent, stops, change, predicts or diagnoses")
    if knows:
        _unknown_names(table, expected, usual.pack)
    table.done()
    line = table.lines.of(table.place)
    return Case(name=name, line=line, points=points, config=config, log=log, expected=expected)


def _steps(table: Table, usual: int) -> int:
    steps = table.get("steps", int, usual)
    if steps < 1:
        table.wrong("steps", "is 1 or more: the step between two points")
    return max(steps, 1)


def _config(table: Table, load: Callable[[str], Config]) -> Config | None:
    raw = table.raw("config")
    if raw is None:
        return None
    if isinstance(raw, str):
        return table.parse("config", raw, load)
    if not isinstance(raw, dict):
        table.wrong("config", "takes the name of a config's file, or a table")
        return None
    try:
        return Config.of(raw)
    except (TypeError, ValueError):
        table.wrong("config", "holds a date or a time, which no config can")
        return None


def _edited(table: Table, config: Config | None) -> Config | None:
    texts = table.texts("config_edits")
    edits = [edit for text in texts if (edit := table.parse("config_edits", text, parse_edit)) is not None]
    if not edits:
        return config
    if config is None:
        table.wrong("config_edits", "there is no config to edit", "name one with config")
        return None
    try:
        return apply(config, edits)
    except MisuseError as error:
        for fault in error.faults:
            table.wrong("config_edits", f"{fault.where}: {fault.what}", fault.hint, fault.pointer)
        return config


def _points(table: Table, metric: str, first: int, steps: int) -> tuple[tuple[int, float], ...]:
    raw = table.raw(metric)
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return ((first, float(raw)),)
    values = table.parsed(metric, parse_series) or ()
    if raw == "":
        table.wrong(metric, "a series without a point", "write numbers, like 1.0-0.1x5")
    return tuple((first + at * steps, value) for at, value in enumerate(values) if value is not None)


def _expected(table: Table) -> Expected:
    return Expected(
        fires=_names(table, "fires"),
        fires_first=_names(table, "fires_first"),
        silent=_names(table, "silent") or (),
        stops=_live(table, "stops"),
        warns=_live(table, "warns"),
        diagnoses=_names(table, "diagnoses"),
        of=table.get("of", str, ""),
        change=_change(table),
        predicts=_predicts(table.table("predicts")),
    )


def _names(table: Table, key: str) -> tuple[str, ...] | None:
    if isinstance(table.raw(key), str):
        return (table.get(key, str, ""),)
    return table.texts(key) if key in table.data else None


def _live(table: Table, key: str) -> tuple[LiveAt, ...] | None:
    """`{ rule, at }`, a rule's name, or a list of these; [] for none."""
    raw = table.raw(key)
    if raw is None:
        return None
    found: list[LiveAt] = []
    for one in raw if isinstance(raw, list) else [raw]:
        live = _live_at(one)
        if live is None:
            table.wrong(key, 'takes { rule = "its name", at = 300 }, or [] for none')
        else:
            found.append(live)
    if key == "stops" and len(found) > 1:
        table.wrong(key, "names one live rule: the first that fires ends the run")
    return tuple(found)


def _live_at(raw: Any) -> LiveAt | None:
    if isinstance(raw, str):
        return LiveAt(rule=raw)
    if not isinstance(raw, dict) or raw.keys() - {"rule", "at"} or not isinstance(raw.get("rule"), str):
        return None
    at = raw.get("at")
    return LiveAt(rule=raw["rule"], at=at) if at is None or type(at) is int else None


def _change(table: Table) -> dict[str, Json]:
    raw = table.get("change", dict, {})
    found: dict[str, Json] = {}
    for key, value in raw.items():
        edit = _edit(table, key, value)
        found |= {} if edit is None else dict([to_change(edit)])
    return found


def _edit(table: Table, key: str, value: Any) -> Edit | None:
    return table.parse("change", key, lambda text: Edit.from_change(text, value))


def _predicts(table: Table) -> dict[str, Aim]:
    found: dict[str, Aim] = {}
    for metric in table.data:
        if isinstance(table.raw(metric), dict):
            below = table.table(metric)
            value = below.get("value", float, 0.0, required=True)
            within = below.get("within", float, abs(value) * WITHIN)
            below.done()
        else:
            value = table.get(metric, float, 0.0)
            within = abs(value) * WITHIN
        if within < 0:
            table.wrong(metric, "`within` is below 0")
        found[metric] = Aim(value=value, within=within)
    return found


def _unknown_names(table: Table, expected: Expected, pack: Pack) -> None:
    rules = [rule.name for rule in pack.rules]
    for key, names in (("fires", expected.fires), ("fires_first", expected.fires_first), ("silent", expected.silent)):
        _check(table, key, names or (), rules)
    _check(table, "of", (expected.of,) if expected.of else (), rules)
    ending = [stop.name for stop in pack.stops if stop.then is not Then.WARN]
    warning = [stop.name for stop in pack.stops if stop.then is Then.WARN]
    _check(table, "stops", [one.rule for one in expected.stops or ()], ending, {"warns": warning})
    _check(table, "warns", [one.rule for one in expected.warns or ()], warning, {"stops": ending})
    _check(table, "diagnoses", expected.diagnoses or (), [one.name for one in pack.diagnoses])


def _check(
    table: Table, key: str, names: Iterable[str], known: list[str], others: Mapping[str, list[str]] = _NO_OTHERS
) -> None:
    """A fault for each name that is not `known` for a key; `others` are the keys that it may have been meant for."""
    for name in names:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, known[:8])) or 'none'}"
        meant = next((other for other, theirs in others.items() if name in theirs), None)
        hint = f"it belongs to `{meant}`" if meant else hint
        table.wrong(key, f"the pack has nothing named {name!r} for it", hint)
