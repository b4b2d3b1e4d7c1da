"""The notation in which rule cases write a series: `1.0-0.1x5 0.5x10 _ nan`.

    series  = *( word )                            words stand apart by white space; one or more points each
    word    = missing | value [ "x" count ] | number ( "+" | "-" ) size "x" count
    missing = "_" [ "x" count ]                    one place without a reading, or `count` of them
    value   = number | "nan" | "inf" | "-inf"
    number  = [ "+" | "-" ] size
    size    = digits [ "." digits ] [ ( "e" | "E" ) [ "+" | "-" ] digits ]

`a+bxn` is a and n further points, each b more than the one before: n + 1 points. `a-bxn` likewise, each b less.
`axn` is a and n further points of the same: n + 1 points; `1+0x3` is 1 1 1 1, and so is `1x3`. `_xn` is n missing
places, and not one more: nothing can go on from it. This is the meaning that promtool gives to these words in the unit
tests of Prometheus' rules. What is missing has no point, and still takes its step.
"""

import math
import re
from collections.abc import Iterator

from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.rules.tokens import fault_at

MOST_POINTS = 100_000  # a slip of the finger in a count must not fill the memory

_SIZE = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_WORD = re.compile(
    rf"(?:(?P<missing>_)|(?P<special>nan|[+-]?inf)|(?P<start>[+-]?{_SIZE})(?P<change>[+-]{_SIZE})?)"
    r"(?P<times>x(?P<count>\d+))?",
    re.ASCII,
)
_START = re.compile(rf"_|[+-]?nan|[+-]?inf|[+-]?{_SIZE}", re.ASCII | re.IGNORECASE)


def parse_series(text: str) -> tuple[float | None, ...]:
    """The points in their order, None for a missing one. MisuseError with every fault and a pointer into the text."""
    points: list[float | None] = []
    faults: list[Fault] = []
    for found in re.finditer(r"\S+", text):
        word = _WORD.fullmatch(found.group())
        fault = _fault(text, found, word) or (None if word is None else _too_many(text, found, word, len(points)))
        if fault is not None:
            faults.append(fault)
        elif word is not None:
            points.extend(_points(word))
    if not points and not faults:
        faults.append(fault_at(text, (0, len(text)), "a series without a point", "write numbers, like 1.0-0.1x5"))
    if faults:
        raise MisuseError(faults)
    return tuple(points)


def _points(word: re.Match[str]) -> Iterator[float | None]:
    count = int(word["count"] or 0)
    if word["missing"]:
        yield from [None] * (count if word["times"] else 1)
        return
    start, change = float(word["special"] or word["start"]), float(word["change"] or 0.0)
    yield from (start + change * at for at in range(count + 1)) if change else [start] * (count + 1)


def _fault(text: str, found: re.Match[str], word: re.Match[str] | None) -> Fault | None:
    """What is wrong with one word, at the place in it where it stops making sense."""
    begin, end = found.span()
    if word is None:
        start = _START.match(found.group())
        known = start.end() if start else 0
        what = f"{found.group()!r} is no point and no run of points"
        return fault_at(text, (begin + known if known < end - begin else begin, end), what, _hint(found.group()))
    if word["change"] and not word["times"]:
        span = (begin + word.start("change"), end)
        return fault_at(text, span, "how many further points?", f"write {found.group()}x5 for five")
    if len(word["count"] or "") > len(str(MOST_POINTS)):
        return fault_at(text, _count_span(begin, word), f"more than {MOST_POINTS:,} points")
    if not word["special"] and word["start"] and not _is_finite(word):
        return fault_at(text, (begin, end), "beyond what a float holds", "write inf where it is meant")
    return None


def _is_finite(word: re.Match[str]) -> bool:
    last = float(word["start"]) + float(word["change"] or 0.0) * int((word["count"] or "0")[:7])
    return math.isfinite(float(word["start"])) and math.isfinite(last)


def _too_many(text: str, found: re.Match[str], word: re.Match[str], so_far: int) -> Fault | None:
    if so_far + int(word["count"] or 0) <= MOST_POINTS:
        return None
    return fault_at(text, _count_span(found.start(), word), f"more than {MOST_POINTS:,} points")


def _count_span(begin: int, word: re.Match[str]) -> tuple[int, int]:
    return begin + max(word.start("count"), 0), begin + word.end()


def _hint(word: str) -> str:
    lower = word.lower()
    if "*" in word or "×" in word:
        return "a count follows an x, as in 0.5x10"
    if lower in ("nan", "inf", "+inf", "-inf", "-nan", "+nan", "null", "none", "infinity"):
        return "write nan, inf, -inf, or _ for a missing point"
    if "," in word:
        return "points stand apart by white space, and a number has a point"
    return "write 0.5, 0.5x10, 1.0-0.1x5, nan, inf or _"
