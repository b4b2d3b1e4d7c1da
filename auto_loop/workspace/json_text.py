"""JSON texts, read strictly: every fault of a text with its line, column and a pointer.

Python's reader takes the last of two equal keys, and NaN; a config with either means something else to each reader.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from auto_loop.domain.edit_values import MAX_DEPTH
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.paths import Json, is_text, kind, point

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def parse_object(text: str, where: str) -> dict[str, Json]:
    """The JSON object that `text` holds. Raises MisuseError with all faults, each at `where`, line and column."""
    if not text.strip():
        raise MisuseError(Fault(what="the file is empty", where=where, hint="a config is a JSON object"))
    try:
        data: Json = json.loads(text)
    except json.JSONDecodeError as error:
        what = f"broken JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        at, hint = _habit(text, error.pos)
        raise MisuseError(_fault(text, (at, at + 1), where, what, hint)) from None
    except RecursionError:
        raise MisuseError(Fault(what=f"the JSON is nested more than {MAX_DEPTH} deep", where=where)) from None
    except ValueError:  # from an integer of thousands of digits, which _token_faults points at
        data = {}
    faults = list(_token_faults(text, where))
    if faults:
        raise MisuseError(faults)
    if not isinstance(data, dict):
        found = kind(data)
        raise MisuseError(Fault(what=f"the file holds {found}, not a JSON object", where=where, hint="wrap it in { }"))
    return data


@dataclass(slots=True)
class _Open:
    """A mapping or list that is open at this place of the text; `keys` with where each stood first."""

    mapping: bool
    keys: dict[str, int] = field(default_factory=dict)
    wants_key: bool = True


def _token_faults(text: str, where: str) -> Iterator[Fault]:
    """The faults of a text that is JSON to Python: keys given twice, numbers that are not finite, too much depth."""
    inside: list[_Open] = []
    for token in _TOKEN.finditer(text):
        word, top = token.group(), inside[-1] if inside else None
        what = ""
        if word in ("{", "["):
            inside.append(_Open(mapping=word == "{"))
            if len(inside) > MAX_DEPTH:
                yield _fault(text, token.span(), where, f"the JSON is nested more than {MAX_DEPTH} deep")
                return
        elif word in ("}", "]"):
            inside.pop()
        elif word == "," and top:
            top.wants_key = True
        elif word.startswith('"'):
            what = _string_fault(text, token, top)
        elif word not in (":", ",", "true", "false", "null") and not _is_finite(word):
            what = f"{word if len(word) < 30 else 'a number of ' + str(len(word)) + ' digits'} is no finite number"
        if what:
            yield _fault(text, token.span(), where, what)


def _string_fault(text: str, token: re.Match[str], top: _Open | None) -> str:
    """What is wrong with a string; a key of an open mapping is remembered there."""
    value: str = json.loads(token.group())
    if not is_text(value):
        return "the text holds half a surrogate pair, which no file can hold"
    if top is None or not top.mapping or not top.wants_key:
        return ""
    top.wants_key = False
    first = top.keys.setdefault(value, token.start())
    if first == token.start():
        return ""
    return f"the key {value!r} is given twice in one object, first on line {text.count(chr(10), 0, first) + 1}"


def _is_finite(word: str) -> bool:
    """Whether a JSON number or Python's NaN, Infinity, -Infinity is finite as a float; of any number of digits."""
    return math.isfinite(float(word))


def _fault(text: str, span: tuple[int, int], where: str, what: str, hint: str = "") -> Fault:
    """The fault at these characters of `text`, shown in their line."""
    start, end = span
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line = text[line_start : line_end if line_end >= 0 else len(text)].rstrip("\r")
    column, number = start - line_start, text.count("\n", 0, start) + 1
    excerpt = point(line.replace("\t", " "), column, max(column + 1, min(end - line_start, len(line))))
    return Fault(what=what, where=f"{where}:{number}:{column + 1}", pointer=excerpt, hint=hint)


def _habit(text: str, at: int) -> tuple[int, str]:
    """Where the JSON really breaks, and a hint, when it is by a habit of another language."""
    here, before = text[at : at + 1], text[:at].rstrip()
    if here in ("}", "]") and before.endswith(","):
        return len(before) - 1, "no comma after the last item"
    if here == "," and text[at + 1 :].lstrip()[:1] in ("}", "]"):
        return at, "no comma after the last item"
    if here == "'":
        return at, 'JSON takes "double quotes" only'
    if here in ("/", "#"):
        return at, "JSON has no comments"
    if text.startswith(("True", "False", "None"), at):
        return at, "JSON writes true, false, null"
    return at, ""
