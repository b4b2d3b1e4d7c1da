"""Paths: places in a config, such as `ot.loss_config.features.*.weight_label`.

    path    = segment *( "." segment )
    segment = name | index | "*" | '["' any text '"]'

A name is any run of printable characters but `. [ ] = @ " *` and blanks. What does not fit is quoted as a JSON
string in brackets: `policy.input_features.["observation.image"]`; the dot before a bracket may be left out on
reading. A number is an index of a list; on a mapping it is the key of that text. `*` is every item.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, assert_never

from auto_loop.domain.errors import Fault, MisuseError, pointer

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Key:
    """A name in a mapping."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """A place in a list, counted from 0 (or, in a mapping, the key of that text)."""

    number: int


@dataclass(frozen=True, slots=True)
class Star:
    """Every item of a list or mapping."""


Segment: TypeAlias = Key | Index | Star
Path: TypeAlias = tuple[Segment, ...]

_NAME = re.compile(r'[^.\[\]=@"*\s]+')
_EXCERPT = 160  # characters of a text that a pointer shows
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # nine digits: more is no place in a list that fits in memory


@dataclass(frozen=True, slots=True)
class ScannedPath:
    """A path read off the start of a text: each segment's span in it, and where the path ends."""

    path: Path
    spans: tuple[tuple[int, int], ...]
    end: int


class BrokenPathError(MisuseError):
    """A path leads nowhere in a config. `depth` is the number of the segment that fails."""

    def __init__(self, path: Path, depth: int, what: str, hint: str) -> None:
        self.depth, self.what, self.hint = depth, what, hint
        text = render_path(path)
        start, end = scan_path(text).spans[depth]
        super().__init__(Fault(what=what, where=text, pointer=point(text, start, end), hint=hint))


def shown(text: str) -> str:
    """`text` with every character that would break a line or a terminal replaced by one `·`."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def syntax_error(text: str, span: tuple[int, int], what: str, hint: str = "") -> MisuseError:
    """The misuse that points at `span` of `text`."""
    return MisuseError(Fault(what=what, pointer=point(text, *span), hint=hint))


def point(text: str, start: int, end: int) -> str:
    """`errors.pointer` for text of any length and kind: around the place only, and printable."""
    left = max(0, min(start, len(text)) - _EXCERPT // 2)
    head, tail = "…" if left else "", "…" if len(text) > left + _EXCERPT else ""
    shift = len(head) - left
    excerpt = f"{head}{shown(text[left : left + _EXCERPT])}{tail}"
    return pointer(excerpt, start + shift, min(end + shift, len(excerpt)))


def parse_path(text: str) -> Path:
    """The path that `text` writes. Raises MisuseError with a pointer into the text."""
    scanned = scan_path(text)
    if scanned.end < len(text):
        raise syntax_error(text, (scanned.end, len(text)), "a path ends here, but the text goes on")
    return scanned.path


def scan_path(text: str) -> ScannedPath:
    """The path at the start of `text`, as far as it reaches: to `@`, `=`, or the end."""
    path: list[Segment] = []
    spans: list[tuple[int, int]] = []
    at = 0
    while True:
        segment, end = _scan_segment(text, at)
        path.append(segment)
        spans.append((at, end))
        if text[end : end + 1] not in (".", "["):
            break
        at = end + 1 if text[end] == "." else end
    if text[end : end + 1] not in ("", "@", "="):
        raise _stray_character(text, end)
    return ScannedPath(tuple(path), tuple(spans), end)


def render_path(path: Path) -> str:
    """The normal form: `parse_path(render_path(p)) == p`."""
    return ".".join(_render_segment(segment) for segment in path)


def _scan_segment(text: str, at: int) -> tuple[Segment, int]:
    if text.startswith("[", at):
        return _scan_quoted(text, at)
    if text.startswith("*", at):
        return Star(), at + 1
    match = _NAME.match(text, at)
    if match is None:
        if text[at : at + 1] in ("", ".", "@", "="):
            raise syntax_error(text, (at, at + 1), "a name is missing here")
        raise _stray_character(text, at)
    name = match.group()
    if not name.isprintable():
        bad = at + next(i for i, letter in enumerate(name) if not letter.isprintable())
        raise _stray_character(text, bad)
    return (Index(int(name)) if _INDEX.fullmatch(name) else Key(name)), match.end()


def _scan_quoted(text: str, at: int) -> tuple[Segment, int]:
    if not text.startswith('["', at):
        end = text.find("]", at)
        inner = text[at + 1 : end] if end > 0 else ""
        hint = f"an index is written .{inner}" if _INDEX.fullmatch(inner) else 'write ["the name"]'
        span = (at, end + 1 if end > 0 else at + 1)
        raise syntax_error(text, span, 'a bracket must hold a name in "double quotes"', hint)
    try:
        name, end = json.JSONDecoder().raw_decode(text, at + 1)
    except ValueError as error:
        place = getattr(error, "pos", at)
        what = "the quoted name does not end" if place == at + 1 else "the quoted name is no JSON string here"
        raise syntax_error(text, (place, place + 1), what, 'write ["the name"], with \\" and \\\\ inside') from None
    if not text.startswith("]", end):
        raise syntax_error(text, (at, end), "the bracket is not closed", 'write ["the name"]')
    if not is_text(name):
        raise syntax_error(text, (at, end), "the quoted name holds half a surrogate pair, which no file can hold")
    return Key(name), end + 1


def _stray_character(text: str, at: int) -> MisuseError:
    character = text[at]
    if character == "*":
        return syntax_error(text, (at, at + 1), "`*` stands for a whole segment, not for a part of a name")
    if character.isspace():
        hint = 'no blanks around "@" and "="; a name with blanks is written ["the name"]'
        return syntax_error(text, (at, at + 1), "a blank is no part of a path", hint)
    hint = 'such a name is written ["the name"]'
    return syntax_error(text, (at, at + 1), f"{character!r} is no part of a plain name", hint)


def is_text(text: str) -> bool:
    """Whether `text` can be written to a file: no half of a surrogate pair in it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _render_segment(segment: Segment) -> str:
    match segment:
        case Star():
            return "*"
        case Index(number):
            return str(number)
        case Key(name):
            plain = _NAME.fullmatch(name) and name.isprintable() and not _INDEX.fullmatch(name)
            return name if plain else f"[{json.dumps(name, ensure_ascii=False)}]"
        case _:
            assert_never(segment)


def expand(data: Json, path: Path, *, may_make_last: bool = False) -> list[Path]:
    """The concrete paths (no `*`) that `path` stands for in `data`, all of which exist.

    With `may_make_last`, a last name may be missing from a mapping that is there.
    Raises BrokenPathError at the first segment that fails, with the nearest names.
    """
    found: list[tuple[Path, Json]] = [((), data)]
    for depth in range(len(path)):
        last = may_make_last and depth == len(path) - 1
        found = [step for place, node in found for step in _steps(data, path, depth, (place, node), last)]
    return [place for place, _ in found]


def get(data: Json, path: Path) -> Json:
    """The value at a concrete path. Raises BrokenPathError."""
    node = data
    for depth in range(len(path)):
        ((_, node),) = _steps(data, path, depth, ((), node), False)
    return node


def _steps(data: Json, path: Path, depth: int, at: tuple[Path, Json], may_make: bool) -> list[tuple[Path, Json]]:
    """Where one more segment leads from the place and node `at`."""
    place, node = at
    match path[depth], node:
        case Star(), (dict() | list()):
            items: list[tuple[Segment, Json]] = children(node)
            if not items:
                raise BrokenPathError(path, depth, f"`*` matches nothing: here is {kind(node)} without items", "")
            return [((*place, segment), item) for segment, item in items]
        case Index(number), list() if number < len(node):
            return [((*place, Index(number)), node[number])]
        case (Key() | Index()) as segment, dict():
            name = segment.name if isinstance(segment, Key) else str(segment.number)
            if name in node or may_make:
                return [((*place, Key(name)), node.get(name))]
    raise BrokenPathError(path, depth, *_why_broken(data, path, depth, node))


def _why_broken(data: Json, path: Path, depth: int, node: Json) -> tuple[str, str]:
    """What is wrong at the segment, and a hint with the nearest names."""
    parent = f"`{render_path(path[:depth])}`" if depth else "the config"
    segment = _render_segment(path[depth])
    if isinstance(node, list):
        what = f"{parent} is a list of {len(node)}, and `{segment}` is none of its places"
        return what, f"it takes 0 to {len(node) - 1}, or *" if node else "it is empty; @append adds an item"
    if isinstance(node, dict):
        name = path[depth].name if isinstance(path[depth], Key) else segment  # type: ignore[union-attr]  # a Key here
        return f"{parent} has no `{segment}`", nearest(name, node, data, path)
    return f"{parent} is {kind(node)} and has nothing inside", "a path cannot go through it"


def nearest(name: str, node: dict[str, Json], data: Json, path: Path = ()) -> str:
    """A hint: the names in `node` close to `name`, else the places elsewhere with the same end, else all names."""
    close = difflib.get_close_matches(name, node, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"`{_render_segment(Key(key))}`" for key in close) + "?"
    wanted = path[-1:] or (Key(name),)
    same_end = [render_path(place) for place, _ in leaves(data) if place[-1:] == wanted]
    if same_end:
        return f"did you mean `{same_end[0]}`?"
    names = [_render_segment(Key(key)) for key in node]
    more = ", ..." if len(names) > 8 else ""
    return f"there are: {', '.join(names[:8])}{more}" if names else "it is empty"


def children(node: dict[str, Json] | list[Json]) -> list[tuple[Segment, Json]]:
    """The items of a mapping or list, each with its segment."""
    if isinstance(node, dict):
        return [(Key(name), item) for name, item in node.items()]
    return [(Index(number), item) for number, item in enumerate(node)]


def leaves(data: Json, place: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every scalar and every empty list or mapping, in order, each with its concrete path."""
    if isinstance(data, dict | list) and data:
        for segment, item in children(data):
            yield from leaves(item, (*place, segment))
    else:
        yield place, data


def kind(value: Json) -> str:
    """What a value is, in the words of the messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            assert_never(value)


def matches(path: Path, pattern: Path) -> bool:
    """Whether `path` is one of the places that `pattern` (with `*` for any one segment) stands for."""
    return len(path) == len(pattern) and leads_to(path, pattern)


def leads_to(path: Path, pattern: Path) -> bool:
    """Whether `path` and `pattern` agree as far as both go: one is, or is above, the other."""
    return all(isinstance(b, Star) or _word(a) == _word(b) for a, b in zip(path, pattern, strict=False))


def matching(path: Path, patterns: Iterable[str]) -> str | None:
    """The first of the written `patterns` that `path` matches."""
    return next((text for text in patterns if matches(path, parsed(text))), None)


@lru_cache(maxsize=4096)
def parsed(text: str) -> Path:
    """`parse_path`, remembered: for patterns that are asked again and again."""
    return parse_path(text)


def _word(segment: Segment) -> str:
    """The segment's bare text: the key "3" and the index 3 are one place in a mapping."""
    return segment.name if isinstance(segment, Key) else _render_segment(segment)
