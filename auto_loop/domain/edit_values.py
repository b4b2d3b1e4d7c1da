"""The value side of an edit: how a value is written, and what may take the place of what.

Numbers are computed as the decimals that they are written as, so that 0.1 times 3 is 0.3; an integer stays one.
"""

import ast
import copy
import json
import math
import re
from fractions import Fraction

from auto_loop.domain.paths import Json, is_text

_CONSTANTS: dict[str, bool | None] = {"True": True, "False": False, "None": None}
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_ALMOST_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]+")
_MOST_DIGITS = 309  # of the largest float
MAX_DEPTH = 100  # of lists and mappings in one another: far above any config, far below Python's own limit


class ValueRefusedError(Exception):
    """A value that cannot stand where an edit wants it; `what` is wrong and `hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


def parse_value(text: str) -> Json:
    """The value that `text` writes: JSON, or a Python constant or literal as `str()` writes it, else the bare text.

    Raises ValueRefusedError for no text at all, for a number that is not finite, and for a number that JSON does
    not know (`.5`), which would silently be a text.
    """
    if not text.strip():
        raise ValueRefusedError("the value is missing", 'the empty text is written ""')
    if not is_text(text):
        raise ValueRefusedError("the value holds half a surrogate pair, which no file can hold")
    if text.strip() in _CONSTANTS:
        return _CONSTANTS[text.strip()]
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return _parse_other(text)
    return checked(value)


def _parse_other(text: str) -> Json:
    """What is not JSON: a Python list or mapping, or bare text."""
    word = text.strip()
    if _NOT_FINITE.fullmatch(word):
        raise ValueRefusedError("the number is not finite", f'as a text it is written "{word}"')
    if _WHOLE.fullmatch(word) and len(word) > _MOST_DIGITS:
        raise ValueRefusedError("the number is not finite as a float", f"it has {len(word)} digits")
    if _ALMOST_NUMBER.fullmatch(word) and not _WHOLE.fullmatch(word):
        hint = f'write {repr(float(word)).removesuffix(".0")}, or "{word}" for a text'
        raise ValueRefusedError("the number is not written as JSON has it", hint)
    if word[0] in "[{":
        try:
            literal = ast.literal_eval(word)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text
        return checked(literal) if isinstance(literal, list | dict) else text
    return text


def checked(value: Json) -> Json:
    """`value`, once it is known to be JSON all the way down, with finite numbers and text that a file can hold."""
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise ValueRefusedError(f"the value is nested more than {MAX_DEPTH} deep")
        match node:
            case None | bool():
                pass
            case (int() | float()) as number:
                _finite(number)
            case str() as text if is_text(text):
                pass
            case list() as items:
                stack.extend((item, depth + 1) for item in items)
            case dict() as mapping:
                if not all(isinstance(key, str) for key in mapping):
                    raise ValueRefusedError("the keys of a mapping must be texts")
                stack.extend((item, depth + 1) for item in (*mapping, *mapping.values()))
            case other:
                raise ValueRefusedError(f"{type(other).__name__} is nothing that JSON can hold")
    return value


def _finite(number: float) -> None:
    try:
        finite = math.isfinite(float(number))
    except OverflowError:
        finite = False
    if not finite:
        raise ValueRefusedError("the number is not finite")


def render_value(value: Json) -> str:
    """The normal form: bare text where it reads back as the same text, else JSON."""
    if isinstance(value, str):
        try:
            plain = value == value.strip() and value.isprintable() and value[0] not in '[{"'
            bare = plain and parse_value(value) == value
        except (ValueRefusedError, IndexError):
            bare = False
        if bare:
            return value
    return json.dumps(value, ensure_ascii=False)


def fit(old: Json, new: Json, *, integer: bool, real: bool) -> Json:
    """`new`, as it may take the place of `old`.

    `integer` and `real` say that the field is known to take only integers, or floats. An integer stays an
    integer (20.0 gives 20) and a float stays a float (1 gives 1.0), so that one config has one fingerprint.
    """
    if isinstance(new, bool) and is_number(old):
        raise ValueRefusedError("true or false cannot take the place of a number")
    if not is_number(new) or not isinstance(new, int | float):
        return copy.deepcopy(new)
    if isinstance(old, bool):
        raise ValueRefusedError("a number cannot take the place of true or false", "write true or false")
    if integer or (isinstance(old, int) and not real):
        return _as_integer(new)
    if isinstance(old, float) and isinstance(new, int) and float(new) == new:
        return float(new)
    return new


def _as_integer(number: float) -> int:
    if isinstance(number, float) and not number.is_integer():
        near = round_half_away(Fraction(number))
        raise ValueRefusedError(f"the field takes integers, and {number!r} is none", f"write {near}")
    return int(number)


def is_number(value: Json) -> bool:
    """Whether `value` is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def multiply(old: Json, factor: Json, *, integer: bool, real: bool) -> Json:
    """`old` times `factor`; an integer is rounded to the nearest, ties away from zero."""
    a, b = _operands(old, factor)
    return a if b == 1 else _rounded(_exact(a) * _exact(b), integer or (isinstance(a, int) and not real))


def add(old: Json, term: Json, *, integer: bool, real: bool) -> Json:
    """`old` plus `term`; an integer is rounded to the nearest, ties away from zero."""
    a, b = _operands(old, term)
    return a if b == 0 else _rounded(_exact(a) + _exact(b), integer or (isinstance(a, int) and not real))


def larger(old: Json, other: Json) -> Json:
    """The larger of both; `old` where they are equal."""
    a, b = _operands(old, other)
    return b if b > a else a


def smaller(old: Json, other: Json) -> Json:
    """The smaller of both; `old` where they are equal."""
    a, b = _operands(old, other)
    return b if b < a else a


def _operands(old: Json, new: Json) -> tuple[int | float, int | float]:
    for name, value in (("here is", old), ("the edit's value is", new)):
        if not is_number(value):
            said = "null" if value is None else json.dumps(value, ensure_ascii=False)
            raise ValueRefusedError(f"{name} {said[:60]}, and arithmetic takes numbers only", "use @set")
    assert isinstance(old, int | float)
    assert isinstance(new, int | float)
    return old, new


def _exact(number: float) -> Fraction:
    """The number as it is written: 0.1 is one tenth here."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _rounded(result: Fraction, integer: bool) -> int | float:
    try:
        as_float = float(result)
    except OverflowError:
        raise ValueRefusedError("the result is not a finite number") from None
    return round_half_away(result) if integer else as_float


def round_half_away(number: Fraction) -> int:
    """The nearest integer; of two equally near ones the one farther from zero."""
    size = math.floor(abs(number) + Fraction(1, 2))
    return size if number >= 0 else -size
