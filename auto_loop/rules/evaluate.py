"""Evaluation of a condition's tree, by Kleene's three-valued logic.

Unknown is contagious in arithmetic and comparisons; `and` is false as soon as one part is, `or` true as soon as one
part is, whatever is unknown beside it. Nothing here raises for any tree that passed the parser's checks.
"""

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import MATH, METRIC, is_over_items, starred
from auto_loop.rules.nodes import (
    STAR,
    UNKNOWN,
    Binary,
    Call,
    Chain,
    Junction,
    Literal,
    Node,
    Place,
    Unary,
    Unknown,
    Value,
)

_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "**": math.pow,
}
_ORDER: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(node: Node, facts: Facts) -> Value:
    """The node's value; a finite float, a bool, a text, null, a container of the config, or unknown."""
    match node:
        case Literal(value=value):
            return value
        case Place(segments=segments):
            return facts.at(segments)
        case Call():
            return _call(node, facts)
        case Unary(op="not", operand=operand):
            return negation(evaluate(operand, facts))
        case Unary(operand=operand):
            return arithmetic(operator.neg, [evaluate(operand, facts)])
        case Binary(op=op, left=left, right=right):
            return arithmetic(_ARITHMETIC[op], [evaluate(left, facts), evaluate(right, facts)])
        case Chain(ops=ops, operands=operands):
            values = [evaluate(operand, facts) for operand in operands]
            links = (compare(op, a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
            return conjunction(links)
        case Junction(op=op, parts=parts):
            fold = conjunction if op == "and" else disjunction
            return fold(evaluate(part, facts) for part in parts)


def as_number(value: Value) -> float | None:
    """The value as a finite float; None for anything else: a bool, a text and null are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def arithmetic(function: Callable[..., float], values: Iterable[Value]) -> Value:
    """`function` of numbers; unknown when one is none, or the result does not exist or is not finite."""
    numbers = [as_number(value) for value in values]
    if any(number is None for number in numbers):
        return UNKNOWN
    try:
        result = as_number(function(*numbers))
    except (ArithmeticError, ValueError):
        return UNKNOWN
    return UNKNOWN if result is None else result


def compare(op: str, left: Value, right: Value) -> Value:
    """One link of a comparison. Equality holds between any two known values; order between numbers only."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return UNKNOWN
    a, b = as_number(left), as_number(right)
    if op in _ORDER:
        return UNKNOWN if a is None or b is None else _ORDER[op](a, b)
    same = a == b if a is not None and b is not None else type(left) is type(right) and left == right
    return same if op == "==" else not same


def negation(value: Value) -> Value:
    """Kleene's `not`; unknown for what is no truth value."""
    return not value if isinstance(value, bool) else UNKNOWN


def conjunction(values: Iterable[Value]) -> Value:
    """Kleene's `and` over any number of values: false if one is false, else unknown if one is not true."""
    result: Value = True
    for value in values:
        if value is False:
            return False
        if value is not True:
            result = UNKNOWN
    return result


def disjunction(values: Iterable[Value]) -> Value:
    """Kleene's `or` over any number of values: true if one is true, else unknown if one is not false."""
    return negation(conjunction(negation(value) for value in values))


def _call(call: Call, facts: Facts) -> Value:
    if is_over_items(call):
        return _fold(call, facts)
    if call.name in METRIC:
        return _metric(call, facts)
    if call.name in MATH:
        return arithmetic(MATH[call.name][2], [evaluate(arg, facts) for arg in call.args])
    arg = call.args[0]
    if call.name == "exists" and isinstance(arg, Place):
        return UNKNOWN if facts.config is None else facts.at(arg.segments) is not UNKNOWN
    return facts.reading(call.name, subject(call, facts))


def subject(call: Call, facts: Facts) -> str:
    """The metric or pattern that a reading is about; inside a fold a `*` in a metric's name is the item."""
    arg = call.args[0]
    text = arg.value if isinstance(arg, Literal) and isinstance(arg.value, str) else ""
    return text if facts.item is None or call.name == "log_matches" else text.replace("*", facts.item)


def _metric(call: Call, facts: Facts) -> Value:
    second = None
    if len(call.args) > 1:
        second = as_number(evaluate(call.args[1], facts))
        if second is None:
            return UNKNOWN
    return facts.reading(call.name, subject(call, facts), second)


def fold_items(call: Call, facts: Facts) -> tuple[str, ...] | Unknown:
    """The indexes or keys that a fold's `*` stands for, one after the other."""
    segments = starred(call.args[0])[0].segments
    return facts.items(segments[: segments.index(STAR)])


def _fold(call: Call, facts: Facts) -> Value:
    arg = call.args[0]
    items = fold_items(call, facts)
    if isinstance(items, Unknown):
        return UNKNOWN
    values = [evaluate(arg, replace(facts, item=item)) for item in items]
    match call.name:
        case "any":
            return disjunction(values)
        case "all":
            return conjunction(values)
        case "count":
            return float(values.count(True)) if all(isinstance(value, bool) for value in values) else UNKNOWN
        case "sum":
            return arithmetic(lambda *numbers: math.fsum(numbers), values)
        case _:
            return arithmetic(MATH[call.name][2], values)
