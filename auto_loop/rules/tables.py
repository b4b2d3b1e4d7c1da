"""Tables of a pack's TOML text, read key by key: each fault gets its line, and an unread key is one.

tomllib keeps no places, so `Lines` finds them again in the text: by header, by which one of its kind, by key.
"""

import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from auto_loop.domain.errors import Fault, MisuseError

T = TypeVar("T")
_HEADER = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")
_PART = re.compile(r"""["']([^"']*)["']|([\w-]+)""")


class Lines:
    """Where in the text each table and key stands. Best effort: 0 is "not found", and no fault of its own."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        seen: dict[str, int] = {}
        quote = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if not quote:
                table = self._read(line, number, table, seen)
            quote = _open_quote(line, quote)

    def _read(self, line: str, number: int, table: tuple[str, ...], seen: dict[str, int]) -> tuple[str, ...]:
        if header := _HEADER.match(line):
            names = _parts(header.group(1))
            if line.lstrip().startswith("[["):
                joined = ".".join(names)
                seen[joined] = seen.get(joined, -1) + 1
                table = (*names, str(seen[joined]))
            else:
                last = str(seen[names[0]]) if names[0] in seen else None
                table = names if last is None else (names[0], last, *names[1:])
            self._found.setdefault(table, number)
        elif key := _KEY.match(line):
            place = (*table, *_parts(key.group(1)))
            for size in range(len(table) + 1, len(place) + 1):
                self._found.setdefault(place[:size], number)
        return table

    def of(self, place: tuple[str, ...]) -> int:
        """The line of a place, else of the nearest table around it."""
        for size in range(len(place), 0, -1):
            if place[:size] in self._found:
                return self._found[place[:size]]
        return 0


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(quoted or plain for quoted, plain in _PART.findall(dotted))


def _open_quote(line: str, quote: str) -> str:
    """The triple quote that is open after the line, given the one open before it."""
    for found in re.finditer(r"\"\"\"|'''", line):
        quote = "" if found.group() == quote else quote or found.group()
    return quote


class Table:
    """One table being read. Faults gather in the list shared by the whole pack; nothing here raises."""

    def __init__(self, data: Mapping[str, Any], place: tuple[str, ...], lines: Lines, faults: list[Fault]) -> None:
        self.data, self.place, self.lines, self.faults = data, place, lines, faults
        self._read: set[str] = set()

    def wrong(self, key: str, what: str, hint: str = "", pointer: str = "") -> None:
        """Notes a fault at a key (or, with an empty key, at the table)."""
        place = (*self.place, key) if key else self.place
        line = self.lines.of(place)
        where = f"line {line}, {_title(place)}" if line else _title(place)
        self.faults.append(Fault(what=what, where=where, hint=hint, pointer=pointer))

    def raw(self, key: str) -> Any:
        """The value as it stands, None when there is none."""
        self._read.add(key)
        return self.data.get(key)

    def get(self, key: str, kind: type[T], default: T, *, required: bool = False) -> T:
        """The value if it has the kind; `default`, and a fault where that is called for, otherwise."""
        value = self.raw(key)
        if value is None:
            if required:
                self.wrong("", f"`{key}` is missing")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return kind(value)  # type: ignore[call-arg]  # kind is float here
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(key, f"takes {_word(kind)}, not {value!r}")
            return default
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(key, f"takes a finite number, not {value}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.get(key, list, [])
        if not all(isinstance(one, str) for one in value):
            self.wrong(key, "takes a list of texts")
            return ()
        return tuple(value)

    def parsed(self, key: str, parse: Callable[[str], T], *, required: bool = True) -> T | None:
        """The text at a key, parsed; the parser's faults with their pointers become the pack's."""
        text = self.get(key, str, "", required=required)
        return self.parse(key, text, parse) if text else None

    def parse(self, key: str, text: str, parse: Callable[[str], T]) -> T | None:
        """`text`, which stands at `key`, parsed."""
        try:
            return parse(text)
        except MisuseError as error:
            for fault in error.faults:
                what = f"{fault.where}: {fault.what}" if fault.where else fault.what
                self.wrong(key, what, fault.hint, fault.pointer)
            return None

    def table(self, key: str) -> "Table":
        """The table at a key, empty when there is none."""
        return Table(self.get(key, dict, {}), (*self.place, key), self.lines, self.faults)

    def tables(self, key: str) -> list["Table"]:
        """The array of tables at a key."""
        value = self.get(key, list, [])
        if not all(isinstance(one, dict) for one in value):
            self.wrong(key, f"is written as [[{'.'.join((*self.place, key))}]]")
            return []
        return [Table(one, (*self.place, key, str(at)), self.lines, self.faults) for at, one in enumerate(value)]

    def done(self) -> None:
        """Says every key that nobody read, with the nearest name that is known."""
        for key in self.data:
            if key not in self._read:
                near = get_close_matches(key, self._read, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self._read))}"
                self.wrong(key, "no such key", hint)


def _title(place: tuple[str, ...]) -> str:
    """A place for a person: `[[rule]] 2 when`, counted from one."""
    shown = [f"{int(part) + 1}" if part.isdecimal() else part for part in place]
    return " ".join(shown)


def _word(kind: type) -> str:
    words = {
        str: "a text",
        float: "a number",
        int: "an integer",
        bool: "true or false",
        list: "a list",
        dict: "a table",
    }
    return words[kind]
