"""The fixed list of functions that a condition may call, and the check that a tree uses them rightly."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from auto_loop.domain.errors import Fault
from auto_loop.rules.nodes import (
    STAR,
    Binary,
    Call,
    Chain,
    Junction,
    Literal,
    Node,
    Place,
    Segment,
    Unary,
    children,
    walk,
)
from auto_loop.rules.tokens import fault_at

NEXT: Final = "next"  # in a law, the first name of the changed config's paths
METRIC: Final[Mapping[str, tuple[int, int]]] = {
    "first": (1, 1),
    "last": (1, 1),
    "best": (1, 1),
    "best_step": (1, 1),
    "delta": (1, 2),
    "pct": (1, 2),
    "n": (1, 1),
    "nan_count": (1, 1),
    "slope": (1, 2),
    "value": (1, 2),
}
MATH: Final[Mapping[str, tuple[int, int, Callable[..., float]]]] = {
    "abs": (1, 1, abs),
    "min": (1, 9, lambda *numbers: min(numbers)),
    "max": (1, 9, lambda *numbers: max(numbers)),
    "ln": (1, 1, math.log),
    "log10": (1, 1, math.log10),
    "exp": (1, 1, math.exp),
    "sqrt": (1, 1, math.sqrt),
    "round": (1, 1, lambda x: math.copysign(math.floor(abs(x) + 0.5), x)),
    "floor": (1, 1, math.floor),
    "ceil": (1, 1, math.ceil),
}
OVER_ITEMS: Final = frozenset({"any", "all", "count", "sum", "max", "min"})
_NAMES: Final = (*METRIC, *MATH, *sorted(OVER_ITEMS - set(MATH)), "exists", "log_matches")


class Kind(StrEnum):
    """What a value is, as far as the text alone tells."""

    NUMBER = "a number"
    TRUTH = "a condition"
    TEXT = "a text"
    OPEN = "a value of the config"


def kind_of(node: Node) -> Kind:
    """What the node's value will be if it is known; a place in the config can be anything."""
    match node:
        case Literal(value=bool()) | Chain() | Junction() | Unary(op="not"):
            return Kind.TRUTH
        case Literal(value=str()):
            return Kind.TEXT
        case Place() | Literal(value=None):
            return Kind.OPEN
        case Call(name=name):
            return Kind.TRUTH if name in ("any", "all", "exists", "log_matches") else Kind.NUMBER
        case _:
            return Kind.NUMBER


def starred(node: Node) -> tuple[Place, ...]:
    """The places with a `*` in and below `node`."""
    return tuple(at for at in walk(node) if isinstance(at, Place) and STAR in at.segments)


def is_over_items(call: Call) -> bool:
    """Whether the call folds the items of a `*`: max and min do so only when they are given one."""
    return call.name in OVER_ITEMS and (call.name not in MATH or (len(call.args) == 1 and bool(starred(call.args[0]))))


def faults_in(root: Node, text: str) -> Iterator[Fault]:
    """Everything wrong with a tree that parsed: unknown functions, wrong arguments, a stray `*`, mixed kinds."""
    yield from _stray_stars(root, text, inside=False)
    for node in walk(root):
        match node:
            case Call():
                yield from _call_faults(node, text)
            case Junction(op=op, parts=parts):
                yield from (_not_truth(part, op, text) for part in parts if _is_not(part, Kind.TRUTH))
            case Unary(op="not", operand=operand) if _is_not(operand, Kind.TRUTH):
                yield _not_truth(operand, "not", text)
            case Binary() | Unary(op="-"):
                yield from _number_faults(children(node), text)
            case Chain(ops=ops, operands=operands) if any(op[0] in "<>" for op in ops):
                yield from _number_faults(operands, text)
            case _:
                pass


def _is_not(node: Node, wanted: Kind) -> bool:
    return kind_of(node) not in (wanted, Kind.OPEN)


def _not_truth(node: Node, op: str, text: str) -> Fault:
    what = f"`{op}` takes conditions, and this is {kind_of(node)}"
    return fault_at(text, node.span, what, "compare it with something")


def _number_faults(nodes: tuple[Node, ...], text: str) -> Iterator[Fault]:
    for node in nodes:
        if _is_not(node, Kind.NUMBER):
            yield fault_at(text, node.span, f"a number belongs here, and this is {kind_of(node)}")


def _stray_stars(node: Node, text: str, inside: bool) -> Iterator[Fault]:
    if isinstance(node, Place) and STAR in node.segments:
        if not inside:
            hint = "put it into any(...), all(...), count(...), sum(...), max(...) or min(...)"
            yield fault_at(text, node.span, "`*` stands for many values", hint)
        if node.segments.count(STAR) > 1:
            yield fault_at(text, node.span, "more than one `*` in a path")
    if isinstance(node, Call) and is_over_items(node):
        inside = True
    for child in children(node):
        yield from _stray_stars(child, text, inside)


def _call_faults(call: Call, text: str) -> Iterator[Fault]:
    if call.name not in _NAMES:
        near = get_close_matches(call.name, _NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_NAMES)}"
        yield fault_at(text, call.span, f"no function {call.name!r}", hint)
    elif is_over_items(call):
        yield from _over_items_faults(call, text)
    elif call.name in METRIC:
        yield from _metric_faults(call, text)
    elif call.name in MATH:
        low, high, _ = MATH[call.name]
        yield from _count_faults(call, low, high, text)
        yield from _number_faults(call.args, text)
    elif call.name in ("exists", "log_matches"):
        yield from _text_faults(call, text)


def _count_faults(call: Call, low: int, high: int, text: str) -> Iterator[Fault]:
    if not low <= len(call.args) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        yield fault_at(text, call.span, f"{call.name} takes {wanted} argument(s), not {len(call.args)}")


def _metric_faults(call: Call, text: str) -> Iterator[Fault]:
    yield from _count_faults(call, *METRIC[call.name], text)
    if call.args and not (isinstance(call.args[0], Literal) and isinstance(call.args[0].value, str)):
        yield fault_at(text, call.args[0].span, f'{call.name} takes a metric\'s name in quotes, like "train/loss"')
    yield from _number_faults(call.args[1:], text)


def _text_faults(call: Call, text: str) -> Iterator[Fault]:
    yield from _count_faults(call, 1, 1, text)
    for arg in call.args[:1]:
        quoted = isinstance(arg, Literal) and isinstance(arg.value, str)
        if call.name == "exists" and not (quoted or isinstance(arg, Place)):
            yield fault_at(text, arg.span, "exists takes a metric's name in quotes or a path of the config")
        elif call.name == "log_matches" and not quoted:
            yield fault_at(text, arg.span, "log_matches takes a regular expression in quotes")
        elif call.name == "log_matches" and isinstance(arg, Literal):
            try:
                re.compile(str(arg.value))
            except (re.error, OverflowError, RecursionError) as error:
                yield fault_at(text, arg.span, f"not a regular expression: {error}")


def _list_of(place: Place) -> tuple[Segment, ...]:
    """The list that a place with a `*` is in; that of a law's changed config counts as the parent's own."""
    segments = place.segments[: place.segments.index(STAR)]
    return segments[1:] if segments[:1] == (NEXT,) else segments


def _over_items_faults(call: Call, text: str) -> Iterator[Fault]:
    yield from _count_faults(call, 1, 1, text)
    if any(isinstance(below, Call) and is_over_items(below) for arg in call.args for below in walk(arg)):
        yield fault_at(text, call.span, f"{call.name} over items inside which items are folded again")
    places = [place for arg in call.args for place in starred(arg)]
    prefixes = {_list_of(place) for place in places}
    if not places:
        yield fault_at(text, call.span, f"{call.name} folds the items of a `*`, and there is none in it")
    elif len(prefixes) > 1:
        yield fault_at(text, call.span, "paths over different lists in one fold", "take one list at a time")
    for arg in call.args:
        wanted = Kind.TRUTH if call.name in ("any", "all", "count") else Kind.NUMBER
        if _is_not(arg, wanted):
            yield fault_at(text, arg.span, f"{call.name} folds {wanted}s, and this is {kind_of(arg)}")
