"""The sections of a pack, each read from its table. Faults gather in the tables; a broken entry is left out."""

from difflib import get_close_matches
from typing import Any

from auto_loop.domain.config import Json
from auto_loop.domain.edit_text import Edit, parse_edit, to_change
from auto_loop.domain.failure import Failure
from auto_loop.domain.paths import parse_path
from auto_loop.domain.stats import Direction
from auto_loop.rules.condition import Expression, parse_condition, parse_formula
from auto_loop.rules.functions import METRIC, NEXT
from auto_loop.rules.model import (
    REMEDY_TIMES,
    Bound,
    Changes,
    Computed,
    Diagnosis,
    Law,
    Metric,
    Objective,
    Remedy,
    Rule,
    Stop,
    Then,
)
from auto_loop.rules.nodes import Call, Place, walk
from auto_loop.rules.tables import Table
from auto_loop.rules.template import parse_template


def read_objective(table: Table) -> Objective:
    """[objective]: `metric` or `expression`, `direction`, `min_difference`."""
    metric = table.get("metric", str, "")
    expression = table.parsed("expression", parse_formula, required=False)
    if table.data and bool(metric) == bool(table.data.get("expression")):
        table.wrong("", "names either a `metric` or an `expression`")
    smallest = table.get("min_difference", float, 0.0)
    if smallest < 0:
        table.wrong("min_difference", "is below 0")
    direction = _direction(table)
    table.done()
    return Objective(
        metric=metric,
        expression=expression,
        direction=direction or Direction.LOWER,
        min_difference=smallest,
    )


def _direction(table: Table) -> Direction | None:
    word = table.get("direction", str, "")
    if word and word not in set(Direction):
        table.wrong("direction", f"{word!r} is none of {', '.join(Direction)}")
        return None
    return Direction(word) if word else None


def read_metrics(table: Table) -> tuple[dict[str, Metric], tuple[str, ...]]:
    """[metrics]: `key`, the metrics that reports show first, and one table a metric."""
    key = table.texts("key")
    metrics: dict[str, Metric] = {}
    for name in table.data:
        if name == "key":
            continue
        one = table.table(name)
        band = one.get("band", list, [])
        if band and not (len(band) == 2 and all(isinstance(end, int | float) for end in band) and band[0] < band[1]):
            one.wrong("band", "takes [low, high]")
            band = []
        metrics[name] = Metric(
            name=name,
            aliases=one.texts("aliases"),
            direction=_direction(one),
            band=(float(band[0]), float(band[1])) if band else None,
            dead=one.get("dead", float, 0.0) if "dead" in one.data else None,
        )
        one.done()
    return metrics, key


def read_rule(table: Table) -> Rule | None:
    """[[rule]]: `name`, `when`, `change`, `reason`, `priority`, `group`."""
    name = table.get("name", str, "", required=True)
    when = table.parsed("when", parse_condition)
    changes = _changes(table, "change", required=True)
    reason = table.parsed("reason", parse_template)
    priority = table.get("priority", int, 0)
    group = table.get("group", str, "")
    table.done()
    if when is None or reason is None:
        return None
    return Rule(name=name, when=when, changes=changes, reason=reason, priority=priority, group=group or name)


def read_stop(table: Table) -> Stop | None:
    """[[stop]]: `name`, `when`, `after` (steps), `for` (readings), `then`, `change` and `warm` of a fork, `reason`."""
    name = table.get("name", str, "", required=True)
    when = table.parsed("when", parse_condition)
    reason = table.parsed("reason", parse_template)
    then = table.get("then", str, Then.STOP.value)
    if then not in list(Then):
        table.wrong("then", f"{then!r} is none of {', '.join(Then)}")
    changes = _changes(table, "change", required=then == Then.FORK)
    warm = table.get("warm", bool, False)
    if then != Then.FORK and (changes or warm):
        table.wrong("then", f"{then!r} starts no successor", 'write then = "stop+fork", or leave out change and warm')
    after = table.get("after", int, 0)
    readings = table.get("for", int, 1)
    if after < 0 or readings < 1:
        table.wrong("", "`after` is 0 or more steps, `for` 1 or more readings")
    table.done()
    if when is None or reason is None or then not in list(Then):
        return None
    return Stop(
        name=name,
        when=when,
        reason=reason,
        after=after,
        readings=readings,
        then=Then(then),
        changes=changes,
        warm=warm,
    )


def read_law(table: Table) -> Law | None:
    """[[law]]: `metric`, `value`; `name`, `only` (any change, without it), `when` (always), `bound` (none)."""
    metric = table.get("metric", str, "", required=True)
    name, bound = table.get("name", str, ""), table.get("bound", str, "")
    if bound and bound not in list(Bound):
        table.wrong("bound", f"{bound!r} is none of {', '.join(Bound)}")
    only = [path for text in table.texts("only") if (path := table.parse("only", text, parse_path))]
    if table.data.get("only") == []:
        table.wrong("only", "names no place, so the law could speak of no change", "leave it out for any change")
    value = table.parsed("value", parse_formula)
    when = table.parsed("when", parse_condition, required=False)
    for key, expression in (("value", value), ("when", when)):
        if expression is not None and _reads_by_next(expression):
            table.wrong(key, "a reading of the parent's run depends on `next`", "its second argument is the parent's")
    table.done()
    if value is None or not metric or (when is None and table.data.get("when")) or bound not in ("", *Bound):
        return None
    return Law(
        metric=metric,
        value=value,
        name=name,
        only=tuple(only) if "only" in table.data else None,
        when=when,
        bound=Bound(bound) if bound else None,
    )


def _reads_by_next(expression: Expression) -> bool:
    seconds = (arg for at in walk(expression.root) if isinstance(at, Call) and at.name in METRIC for arg in at.args[1:])
    return any(isinstance(at, Place) and at.segments[0] == NEXT for second in seconds for at in walk(second))


def read_diagnosis(table: Table) -> Diagnosis | None:
    """[[diagnosis]]: `name`, `when`, and what it `says`."""
    name = table.get("name", str, "", required=True)
    when = table.parsed("when", parse_condition)
    says = table.parsed("says", parse_template)
    table.done()
    return None if when is None or says is None else Diagnosis(name=name, when=when, says=says)


def read_remedy(table: Table) -> Remedy | None:
    """[[remedy]]: `failure` (a class of failures), `change`, `also`, `times` (in one line of descent), `reason`."""
    failure = table.get("failure", str, "", required=True)
    changes, also = _literals(table, "change", required=True), _literals(table, "also", required=False)
    times = table.get("times", int, REMEDY_TIMES)
    reason = table.get("reason", str, "")
    if times < 1:
        table.wrong("times", "is 1 or more")
    if failure and failure not in set(Failure):
        near = get_close_matches(failure, Failure, n=1)
        table.wrong(
            "failure", f"{failure!r} is none of {', '.join(Failure)}", f"did you mean {near[0]}?" if near else ""
        )
    table.done()
    if failure not in set(Failure):
        return None
    return Remedy(failure=Failure(failure), changes=changes, also=also, times=times, reason=reason)


def _literals(table: Table, key: str, *, required: bool) -> dict[str, Json]:
    """A remedy's edits: a computed value is a fault, for a failed run has no readings."""
    changes = _changes(table, key, required=required)
    for name, value in changes.items():
        if isinstance(value, Computed):
            table.wrong(key, f"{name!r} is computed: a remedy's values are literals")
    return {name: value for name, value in changes.items() if not isinstance(value, Computed)}


def _changes(table: Table, at: str, *, required: bool) -> Changes:
    """What stands at `at`: a table of `path@op` to value, or a list of edits as the command line takes them."""
    raw = table.raw(at)
    if raw is None or raw in ({}, []):
        if required:
            table.wrong("", f'`{at}` is missing: {{ "path@op" = value }}')
        return {}
    if isinstance(raw, list):
        edits = [table.parse(at, text, parse_edit) for text in table.texts(at)]
        return dict(to_change(edit) for edit in edits if edit is not None)
    if not isinstance(raw, dict):
        table.wrong(at, 'takes { "path@op" = value } or ["path@op=value"]')
        return {}
    below = table.table(at)
    return {key: value for name in raw for key, value in _change(below, name)}


def _change(table: Table, key: str) -> list[tuple[str, Json | Computed]]:
    value: Any = table.raw(key)
    if isinstance(value, dict) and "expr" in value:
        computed = table.table(key)
        expression = computed.parsed("expr", parse_formula)
        predict = computed.get("predict", str, "")
        computed.done()
        edit = _edit(table, key, 0)
        if edit is None or expression is None:
            return []
        return [(to_change(edit)[0], Computed(expression=expression, predict=predict))]
    edit = _edit(table, key, value)
    return [] if edit is None else [to_change(edit)]


def _edit(table: Table, key: str, value: Any) -> Edit | None:
    return table.parse(key, key, lambda text: Edit.from_change(text, value))
