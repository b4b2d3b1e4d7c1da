"""The parser of the condition language: recursive descent over tokens, one method a level of binding.

The grammar is in `condition`. Nesting and length are bounded, so that no text exhausts the stack.
"""

import math
import re
from typing import Final

from auto_loop.domain.errors import MisuseError
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
    Span,
    Unary,
)
from auto_loop.rules.tokens import Kind, Token, fault_at, tokenize

MAX_TOKENS: Final = 300
MAX_DEPTH: Final = 40
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_WORDS: Final = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_RESERVED = frozenset({"and", "or", "not"})
_SEGMENT = re.compile(r"""\["([^"]*)"\]|\['([^']*)'\]|\.?(\w+|\*)""", re.ASCII)


def parse_tree(text: str) -> Node:
    """The tree of one expression. MisuseError, with a pointer, where the text stops making sense."""
    tokens = tokenize(text)
    if len(tokens) > MAX_TOKENS:
        where = tokens[MAX_TOKENS].span
        raise MisuseError(fault_at(text, where, f"longer than {MAX_TOKENS} words and signs", hint="split the rule"))
    return _Parser(text, tokens).whole()


def split_path(text: str) -> tuple[Segment, ...]:
    """`a.*.b["c d"]` as its segments; the text is a NAME token, so it is well formed."""
    segments: list[Segment] = []
    for found in _SEGMENT.finditer(text):
        quoted = found.group(1) if found.group(1) is not None else found.group(2)
        plain = found.group(3)
        segments.append(quoted if quoted is not None else STAR if plain == "*" else plain)
    return tuple(segments)


class _Parser:
    """A cursor over the tokens; it lives as long as one parse."""

    def __init__(self, text: str, tokens: tuple[Token, ...]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.at]

    def whole(self) -> Node:
        node = self.disjunction()
        if self.here.kind is not Kind.END:
            raise self.wrong(f"{self.here.text!r} after the end of the expression", "an operator is missing before it")
        return node

    def wrong(self, what: str, hint: str = "") -> MisuseError:
        return MisuseError(fault_at(self.text, self.here.span, what, hint))

    def take(self) -> Token:
        token = self.here
        self.at += 1
        return token

    def sees(self, *texts: str) -> bool:
        return self.here.kind in (Kind.SIGN, Kind.NAME) and self.here.text in texts

    def expect(self, sign: str) -> Token:
        if not self.sees(sign):
            found = repr(self.here.text) if self.here.text else "the end"
            raise self.wrong(f"expected {sign!r}, found {found}")
        return self.take()

    def disjunction(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"nested deeper than {MAX_DEPTH} levels", "split the rule")
        parts = [self.conjunction()]
        while self.sees("or"):
            self.take()
            parts.append(self.conjunction())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Junction(op="or", parts=tuple(parts), span=_around(*parts))

    def conjunction(self) -> Node:
        parts = [self.negation()]
        while self.sees("and"):
            self.take()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Junction(op="and", parts=tuple(parts), span=_around(*parts))

    def negation(self) -> Node:
        nots: list[Token] = []
        while self.sees("not"):
            nots.append(self.take())
        node = self.comparison()
        if len(nots) % 2:
            return Unary(op="not", operand=node, span=(nots[0].span[0], node.span[1]))
        return node

    def comparison(self) -> Node:
        operands, ops = [self.sum()], []
        while self.sees(*_COMPARISONS):
            ops.append(self.take().text)
            operands.append(self.sum())
        if not ops:
            return operands[0]
        return Chain(ops=tuple(ops), operands=tuple(operands), span=_around(*operands))

    def sum(self) -> Node:
        node = self.product()
        while self.sees("+", "-"):
            op = self.take().text
            right = self.product()
            node = Binary(op=op, left=node, right=right, span=_around(node, right))
        return node

    def product(self) -> Node:
        node = self.signed()
        while self.sees("*", "/", "%"):
            op = self.take().text
            right = self.signed()
            node = Binary(op=op, left=node, right=right, span=_around(node, right))
        return node

    def signed(self) -> Node:
        signs: list[Token] = []
        while self.sees("-", "+"):
            signs.append(self.take())
        node = self.power()
        if sum(token.text == "-" for token in signs) % 2:
            return Unary(op="-", operand=node, span=(signs[0].span[0], node.span[1]))
        return node

    def power(self) -> Node:
        base = self.atom()
        if not self.sees("**"):
            return base
        self.take()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"nested deeper than {MAX_DEPTH} levels", "split the rule")
        exponent = self.signed()
        self.depth -= 1
        return Binary(op="**", left=base, right=exponent, span=_around(base, exponent))

    def atom(self) -> Node:
        if self.sees("("):
            opening = self.take()
            node = self.disjunction()
            closing = self.expect(")")
            return _respan(node, (opening.span[0], closing.span[1]))
        match self.here.kind:
            case Kind.NUMBER:
                return self.number()
            case Kind.TEXT:
                token = self.take()
                return Literal(value=token.text[1:-1], span=token.span)
            case Kind.NAME if self.here.text not in _RESERVED:
                return self.name()
            case Kind.END:
                raise self.wrong("the expression ends too early", "a value is missing")
            case _:
                raise self.wrong(f"expected a value, found {self.here.text!r}")

    def number(self) -> Node:
        value = float(self.here.text)
        if not math.isfinite(value):
            raise self.wrong("a number too large to hold")
        return Literal(value=value, span=self.take().span)

    def name(self) -> Node:
        token = self.take()
        if self.sees("("):
            return self.call(token)
        if token.text in _WORDS:
            return Literal(value=_WORDS[token.text], span=token.span)
        return Place(segments=split_path(token.text), span=token.span)

    def call(self, name: Token) -> Node:
        self.take()
        args: list[Node] = []
        if not self.sees(")"):
            args.append(self.disjunction())
            while self.sees(","):
                self.take()
                args.append(self.disjunction())
        closing = self.expect(")")
        return Call(name=name.text, args=tuple(args), span=(name.span[0], closing.span[1]))


def _around(*nodes: Node) -> Span:
    return nodes[0].span[0], nodes[-1].span[1]


def _respan(node: Node, span: Span) -> Node:
    """The node with its brackets in its span; constants and places stay as they are."""
    match node:
        case Binary(op=op, left=left, right=right):
            return Binary(op=op, left=left, right=right, span=span)
        case Chain(ops=ops, operands=operands):
            return Chain(ops=ops, operands=operands, span=span)
        case Junction(op=op, parts=parts):
            return Junction(op=op, parts=parts, span=span)
        case _:
            return node
