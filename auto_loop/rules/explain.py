"""Why a condition does not hold: which comparison decided, what its value is, and how far off it is.

The distance is 0 for what holds, at most 1 for one comparison (|a − b| / (|a| + |b|); 1 for what is unknown, has no
order, or is 0 and should not be); `and` adds up what is missing, `or` takes its nearest part. So the rule that came
nearest to firing is the one with the least distance.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from auto_loop.rules.evaluate import as_number, compare, evaluate
from auto_loop.rules.facts import Facts
from auto_loop.rules.nodes import STAR, Call, Chain, Junction, Literal, Node, Place, Unary, Unknown, Value, walk

_CONTRARY: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_MIRROR: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEARLY: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """How far a condition is from what was wanted, and the comparison that decided, in words."""

    distance: float
    says: str


HOLDS: Final = Shortfall(distance=0.0, says="")


def shortfall(node: Node, text: str, facts: Facts, wanted: bool = True) -> Shortfall:
    """What keeps `node` from being `wanted`; `text` is the source that its spans point into."""
    if evaluate(node, facts) is wanted:
        return HOLDS
    match node:
        case Junction(op=op, parts=parts):
            found = [shortfall(part, text, facts, wanted) for part in parts]
            missing = [one for one in found if one.distance > 0]
            if (op == "and") is wanted:
                return Shortfall(distance=sum(one.distance for one in missing), says=missing[0].says)
            return min(missing, key=lambda one: one.distance)
        case Unary(op="not", operand=operand):
            return shortfall(operand, text, facts, not wanted)
        case Chain():
            return _chain(node, text, facts, wanted)
        case _:
            value = evaluate(node, facts)
            needs = "true" if wanted else "false"
            return Shortfall(distance=1.0, says=f"{quote(node, text)} is {show(value)}, needs {needs}")


def missing_names(node: Node, text: str, facts: Facts) -> tuple[str, ...]:
    """The metric readings and config values in the tree that are unknown, as written, each once."""
    found = [quote(at, text) for at in walk(node) if isinstance(at, Call | Place) and _is_gap(at, facts)]
    return tuple(dict.fromkeys(found))


def show(value: Value) -> str:
    """A value for a person: four digits of a number, JSON's words for the rest."""
    if isinstance(value, Unknown):
        return "unknown"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    number = as_number(value)
    return f"{number:.4g}" if number is not None else str(value)


def quote(node: Node, text: str) -> str:
    """The node's own source text, on one line."""
    return " ".join(text[slice(*node.span)].split())


def _is_gap(node: Call | Place, facts: Facts) -> bool:
    if isinstance(node, Place):
        return STAR not in node.segments and isinstance(facts.at(node.segments), Unknown)
    about = node.args[0].value if node.args and isinstance(node.args[0], Literal) else None
    return isinstance(about, str) and "*" not in about and isinstance(evaluate(node, facts), Unknown)


def _chain(chain: Chain, text: str, facts: Facts, wanted: bool) -> Shortfall:
    """The first link that fails; of a chain that should not hold, the link nearest to failing."""
    links = [_link(op, pair, text, facts, wanted) for op, pair in zip(chain.ops, pairwise(chain.operands), strict=True)]
    failing = [link for link in links if link.distance > 0]
    return failing[0] if wanted else min(failing, key=lambda link: link.distance)


def _link(op: str, pair: tuple[Node, Node], text: str, facts: Facts, wanted: bool) -> Shortfall:
    if _is_literal(pair[0]):
        op, pair = _MIRROR[op], (pair[1], pair[0])
    left, right = (evaluate(side, facts) for side in pair)
    if compare(op, left, right) is wanted:
        return HOLDS
    bound = show(right) if _is_literal(pair[1]) else f"{quote(pair[1], text)} = {show(right)}"
    says = f"{quote(pair[0], text)} = {show(left)}, needs {op if wanted else _CONTRARY[op]} {bound}"
    return Shortfall(distance=_distance(left, right), says=says)


def _is_literal(node: Node) -> bool:
    """Whether the value stands there as written: -50 is the sign and a literal."""
    return isinstance(node.operand if isinstance(node, Unary) and node.op == "-" else node, Literal)


def _distance(left: Value, right: Value) -> float:
    a, b = as_number(left), as_number(right)
    if a is None or b is None or a == b == 0:
        return 1.0
    return max(abs(a - b) / (abs(a) + abs(b)), _NEARLY) if a != b else _NEARLY
