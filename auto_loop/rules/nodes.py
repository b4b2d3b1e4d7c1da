"""The tree that a condition parses to, and the values that it can take. Plain frozen data.

Every node keeps its `span`, the characters of the source text that it came from, so that faults and explanations
can quote the user's own words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from auto_loop.domain.config import Json

Span: TypeAlias = tuple[int, int]


class Unknown(Enum):
    """Kleene's third value: what nobody can say, because a metric is missing or a division is by zero."""

    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        raise TypeError("unknown is neither true nor false; compare with `is`")


class Star(Enum):
    """The `*` of a path: every item of a list or mapping."""

    STAR = "*"


UNKNOWN = Unknown.UNKNOWN
STAR = Star.STAR
Value: TypeAlias = Json | Unknown
Segment: TypeAlias = str | Star


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A number, a text, true, false or null."""

    value: float | bool | str | None
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A value of the config, by its path. A list index is kept as its digits."""

    segments: tuple[Segment, ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of the fixed list with its arguments."""

    name: str
    args: tuple["Node", ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    """`not x` or `-x`."""

    op: str
    operand: "Node"
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Arithmetic on two numbers."""

    op: str
    left: "Node"
    right: "Node"
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Comparisons: `operands` has one more item than `ops`; `a < b <= c` holds when every link does."""

    ops: tuple[str, ...]
    operands: tuple["Node", ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """`and` or `or` over two parts or more."""

    op: str
    parts: tuple["Node", ...]
    span: Span


Node: TypeAlias = Literal | Place | Call | Unary | Binary | Chain | Junction


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below, in the order of the text."""
    match node:
        case Literal() | Place():
            return ()
        case Call(args=args):
            return args
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Chain(operands=operands):
            return operands
        case Junction(parts=parts):
            return parts


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)
