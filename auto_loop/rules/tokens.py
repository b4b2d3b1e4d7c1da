"""Tokens of the condition language: text in, tokens with their places out."""

import re
from dataclasses import dataclass
from enum import StrEnum

from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.rules.nodes import Span

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>"[^"\n]*"|'[^'\n]*')
      | (?P<name>[A-Za-z_]\w*(?:\.(?:\w+|\*)|\["[^"\n]*"\]|\['[^'\n]*'\])*)
      | (?P<sign><=|>=|==|!=|\*\*|[-+*/%<>(),])""",
    re.VERBOSE | re.ASCII,
)
_INSTEAD = {"=": "==", "&": "and", "|": "or", "!": "not", "^": "**"}


class Kind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    TEXT = "text"
    NAME = "name"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token; `text` is as written."""

    kind: Kind
    text: str
    span: Span


def excerpt(text: str, span: Span) -> str:
    """Two indented lines: the line of `text` where `span` starts, and `~~~^` under the place."""
    start, end = span
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    width = max(min(end, line_start + len(line)) - start, 1)
    return f"    {line}\n    {' ' * (start - line_start)}{'~' * (width - 1)}^"


def fault_at(text: str, span: Span, what: str, hint: str = "") -> Fault:
    """A fault that points into the text."""
    return Fault(what=what, pointer=excerpt(text, span), hint=hint)


def tokenize(text: str) -> tuple[Token, ...]:
    """All tokens, closed by one of kind END. MisuseError names every character that belongs to none."""
    tokens: list[Token] = []
    faults: list[Fault] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            faults.append(_stray(text, at))
            at += 1
            continue
        if found.lastgroup != "space":
            tokens.append(Token(kind=Kind(str(found.lastgroup)), text=found.group(), span=found.span()))
        at = found.end()
    if faults:
        raise MisuseError(faults)
    return (*tokens, Token(kind=Kind.END, text="", span=(len(text), len(text))))


def _stray(text: str, at: int) -> Fault:
    sign = text[at]
    instead = _INSTEAD.get(sign)
    if sign in "\"'":
        return fault_at(text, (at, len(text)), "a text that is not closed", hint=f"close it with {sign}")
    hint = f"write `{instead}`" if instead else ""
    return fault_at(text, (at, at + 1), f"{sign!r} does not belong here", hint=hint)
