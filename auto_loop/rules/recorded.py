"""Recorded readings: what rules asked of a run, kept so that the same can be decided again without its series.

A reading is kept under a stable key, `last("train/loss")` or `value("train/loss", 300)`, with the metric's own name and
numbers in place of formulas. Its value is a finite number, true, false or "unknown"; `steps of <key>` holds the step
that it was taken at, or the first and last one that it spans, where they are known. All of it is plain JSON.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from auto_loop.domain.config import Config, Json
from auto_loop.rules.condition import Expression
from auto_loop.rules.evaluate import as_number, evaluate, fold_items, subject
from auto_loop.rules.facts import NOT_KNOWN, Facts, steps_key
from auto_loop.rules.functions import METRIC, is_over_items
from auto_loop.rules.model import Computed, Pack
from auto_loop.rules.nodes import Call, Literal, Node, Unknown, children, walk
from auto_loop.rules.template import Template


def facts_of_readings(
    readings: Mapping[str, Json], config: Config | None, canonical: Callable[[str], str] = str
) -> Facts:
    """The facts of a run of which only the recorded readings are left."""
    return Facts(config=None if config is None else config.data(), canonical=canonical, recorded=readings)


def readings_of(expressions: Iterable[Expression], facts: Facts, *, of_any: bool = False) -> dict[str, Json]:
    """Every reading that the expressions could ask of the run, whether or not an evaluation gets as far.

    `of_any` takes the metrics of a fold's items by their names, also of items that the config does not have: a changed
    config may.
    """
    found: dict[str, Json] = {}
    for expression in expressions:
        for call, number, inside in _asked(expression.root, facts, of_any):
            about = subject(call, inside)
            key = inside.key(call.name, about, number)
            value = inside.reading(call.name, about, number)
            found[key] = NOT_KNOWN if isinstance(value, Unknown) else value
            if steps := inside.steps_read(call.name, about, number):
                found[steps_key(key)] = [*steps]
    return found


def readings_of_pack(pack: Pack, facts: Facts) -> dict[str, Json]:
    """All that the pack's rules, laws, diagnoses and texts could ask of the run, in the order of their keys."""
    if facts.recorded is not None:
        return dict(facts.recorded)
    parent: Json = facts.config
    changed = None if facts.config is None else {**facts.config, "next": parent}
    found = readings_of(_expressions(pack), facts)
    laws = (one for law in pack.laws for one in (law.value, law.when) if one)
    found |= readings_of(laws, replace(facts, config=changed), of_any=True)
    return dict(sorted(found.items()))


def metrics_read(pack: Pack) -> frozenset[str]:
    """The metrics that anything in the pack reads of an ended run, under its own names; `*` in one is any text."""
    laws = (one for law in pack.laws for one in (law.value, law.when) if one)
    return frozenset(pack.canonical(name) for one in (*_expressions(pack), *laws) for name in one.metrics)


def evidence(expressions: Iterable[Expression], facts: Facts) -> dict[str, Json]:
    """The metric readings in the expressions with their values, null for unknown; `steps` says at which steps."""
    found = readings_of(expressions, facts)
    metrics = {key: value for key, value in found.items() if key.split("(")[0] in METRIC}
    values: dict[str, Json] = {key: None if value == NOT_KNOWN else value for key, value in metrics.items()}
    steps: dict[str, Json] = {key: found[steps_key(key)] for key in metrics if steps_key(key) in found}
    return {**values, "steps": steps} if steps else values


def _expressions(pack: Pack) -> Iterator[Expression]:
    if pack.objective.expression is not None:
        yield pack.objective.expression
    for rule in pack.rules:
        yield rule.when
        yield from (value.expression for value in rule.changes.values() if isinstance(value, Computed))
        yield from _in_text(rule.reason)
    for diagnosis in pack.diagnoses:
        yield diagnosis.when
        yield from _in_text(diagnosis.says)


def _in_text(template: Template) -> Iterator[Expression]:
    return (part for part in template.parts if isinstance(part, Expression))


def _asked(node: Node, facts: Facts, of_any: bool, folded: bool = False) -> Iterator[tuple[Call, float | None, Facts]]:
    """The readings in and below `node`, each with its second argument and, inside a fold, for each item."""
    if isinstance(node, Call):
        if is_over_items(node):
            items = fold_items(node, facts)
            known = set() if isinstance(items, Unknown) else set(items)
            for item in sorted(known | _named_items(node, facts) if of_any else known):
                yield from _asked(node.args[0], replace(facts, item=item), of_any, True)
            folded = True
        elif _is_reading(node) and not (folded and facts.item is None and "*" in subject(node, facts)):
            second = [as_number(evaluate(arg, facts)) for arg in node.args[1:]]
            if None not in second:
                yield node, second[0] if second else None, facts
    for child in children(node):
        yield from _asked(child, facts, of_any, folded)


def _named_items(fold: Call, facts: Facts) -> set[str]:
    """The items that metrics are logged for, by the names that the fold asks for."""
    stars = [subject(call, facts) for call in walk(fold) if isinstance(call, Call) and _is_reading(call)]
    ends = [name.split("*") for name in stars if name.count("*") == 1]
    return {
        name[len(first) : len(name) - len(last)]
        for first, last in ends
        for name in facts.metrics.keys() | facts.series.keys()
        if len(name) > len(first) + len(last) and name.startswith(first) and name.endswith(last)
    }


def _is_reading(call: Call) -> bool:
    about = call.args[0] if call.args else None
    asks = call.name in METRIC or call.name in ("exists", "log_matches")
    return asks and isinstance(about, Literal) and isinstance(about.value, str)
