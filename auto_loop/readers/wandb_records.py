"""W&B's records, decoded from their protobuf bytes by hand: rows of the history, and who the run is.

`Record`: history = 2, summary = 3, run = 17, exit = 18. `HistoryRecord`: item = 1 (repeated), step = 2
(`HistoryStep.num` = 1). `HistoryItem`: key = 1 or nested_key = 2 (repeated), value_json = 16. `RunRecord`: run_id = 1,
entity = 2, project = 3, display_name = 8. `RunExitRecord`: exit_code = 1. Nothing here trusts its bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from auto_loop.domain.config import Json
from auto_loop.readers.base import Row
from auto_loop.readers.columns import NOT_METRICS, numbers, row_of

_HISTORY, _RUN, _EXIT = 2, 17, 18
_ITEM, _STEP, _KEY, _NESTED_KEY, _VALUE = 1, 2, 1, 2, 16
# How value_json begins: field 16, length-delimited. Keys stand before it, so a row falls apart at these two bytes.
_VALUE_TAG = b"\x82\x01"
_MOST_LAYOUTS = 50_000
_MOST_STEPS = 2**53


class MalformedError(ValueError):
    """Bytes that are no protobuf message of the kind expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Who a run is, as its client said when it began. Offline runs have no entity but the one that was asked for."""

    run_id: str = ""
    entity: str = ""
    project: str = ""
    display_name: str = ""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number at `at`, and the place behind it."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MalformedError("a number without its end")


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of one message: numbers as int, everything with a length as bytes; fixed-width ones are skipped."""
    at, size = 0, len(data)
    while at < size:
        tag, at = varint(data, at)
        match tag & 7:
            case 0:
                value, at = varint(data, at)
                yield tag >> 3, value
            case 2:
                length, at = varint(data, at)
                if at + length > size:
                    raise MalformedError("a field longer than its message")
                yield tag >> 3, data[at : at + length]
                at += length
            case 1:
                at += 8
            case 5:
                at += 4
            case other:
                raise MalformedError(f"wire type {other}")


def message(data: bytes, number: int) -> bytes | None:
    """The last field `number` of a message that has a length, or None."""
    return next((v for n, v in reversed(list(fields(data))) if n == number and isinstance(v, bytes)), None)


def run_of(record: bytes) -> RunRecord | None:
    """The run that a record tells of, or None when it is of another kind or does not parse."""
    try:
        run = message(record, _RUN)
        if run is None:
            return None
        texts = {n: v.decode(errors="replace") for n, v in fields(run) if isinstance(v, bytes)}
    except MalformedError:
        return None
    return RunRecord(
        run_id=texts.get(1, ""), entity=texts.get(2, ""), project=texts.get(3, ""), display_name=texts.get(8, "")
    )


def exit_code_of(record: bytes) -> int | None:
    """The exit code that a record tells of, or None when it is of another kind or does not parse."""
    try:
        ended = message(record, _EXIT)
        code = 0 if ended is None else next((v for n, v in fields(ended) if n == 1 and isinstance(v, int)), 0)
    except MalformedError:
        return None
    return None if ended is None else code


class RowDecoder:
    """Turns history records into rows; remembers how items begin, as their few layouts come again and again.

    An item is `0a <length> <keys> 82 01 <length> <value>`. The bytes before a value (item length and keys) repeat with
    the metric and the value's width, so they are parsed once and looked up from then on; they also say how long the
    value must be, which proves that the row really fell apart at its items. Whatever does not fit goes the slow,
    general way.
    """

    def __init__(self) -> None:
        self._layouts: dict[bytes, tuple[str, int]] = {}

    def row(self, record: bytes) -> Row | None:
        """The row in a record, None when the record is of another kind. Raises `MalformedError`."""
        history = history_bytes(record)
        if history is None:
            return None
        return self._quick(history) or slow_row(history)

    def _quick(self, history: bytes) -> Row | None:
        """The row when all of it is plain numbers in layouts as above, else None. A row's time is spent here."""
        pieces = iter(history.split(_VALUE_TAG))
        layouts, names, values = self._layouts, list[str](), list[float]()
        head = next(pieces)
        try:
            for piece in pieces:
                try:
                    name, width = layouts[head]
                except KeyError:
                    name, width = self._learn(head)
                if piece[0] + 1 != width:
                    return None
                if name:
                    names.append(name)
                    values.append(float(piece[1:width]))
                head = piece[width:]
            return Row(_step_of(head), names, values)
        except (ValueError, IndexError):  # no number, or not of this form
            return None

    def _learn(self, head: bytes) -> tuple[str, int]:
        """The name in an item's beginning, and how many bytes its value takes with the value's length byte."""
        if len(self._layouts) >= _MOST_LAYOUTS:
            self._layouts.clear()
        if head[:1] != b"\x0a":
            raise MalformedError("no item")
        length, at = varint(head, 1)
        width = length - (len(head) - at) - len(_VALUE_TAG)
        name = name_of(list(fields(head[at:])))
        if not 1 < width <= 128:  # a length of one byte, and at least one byte of value
            raise MalformedError("a long value")
        layout = self._layouts[head] = ("" if name in NOT_METRICS else name, width)
        return layout


def history_bytes(record: bytes) -> bytes | None:
    """The history message in a record, or None."""
    at = 0
    if record[:1] == b"\x08":  # the record's number stands first
        _, at = varint(record, 1)
    if record[at : at + 1] == b"\x12":
        length, at = varint(record, at + 1)
        if at + length <= len(record):
            return record[at : at + length]
        raise MalformedError("a history longer than its record")
    return message(record, _HISTORY)


def _step_of(tail: bytes) -> int:
    """The step in what follows a row's last item: `12 <length> [08 <number>]`."""
    if tail == b"\x12\x00":
        return 0
    if tail[:1] != b"\x12" or tail[2] != 8 or tail[1] != len(tail) - 2:
        raise MalformedError("no step")
    step, _ = varint(tail, 3)
    return plausible(step)


def plausible(step: int) -> int:
    """The step itself. Raises `MalformedError` when no run can have come so far, which a series could not hold."""
    if not 0 <= step < _MOST_STEPS:
        raise MalformedError(f"step {step}")
    return step


def name_of(parts: list[tuple[int, bytes | int]]) -> str:
    """An item's name: its key, or its nested keys joined by dots. Raises `MalformedError` when it has none."""
    keys = [v.decode(errors="replace") for n, v in parts if n in (_KEY, _NESTED_KEY) and isinstance(v, bytes)]
    if not keys:
        raise MalformedError("an item without a key")
    return ".".join(keys)


def slow_row(history: bytes) -> Row:
    """The row of any history message: values of any kind, fields in any order. A value that is no JSON is left out."""
    found: dict[str, float] = {}
    step: int | None = None
    logged: Json = None
    for number, value in fields(history):
        if number == _STEP and isinstance(value, bytes):
            step = next((v for n, v in fields(value) if n == 1 and isinstance(v, int)), 0)
        elif number == _ITEM and isinstance(value, bytes):
            parts = list(fields(value))
            name, data = name_of(parts), _value(parts)
            logged = data if name == "_step" else logged
            found.update(numbers({name: data}, "."))
    if step is None:
        if not isinstance(logged, int):
            raise MalformedError("a row without a step")
        step = logged
    return row_of(plausible(step), found)


def history_row(record: bytes) -> dict[str, Json]:
    """All that one history record logged, W&B's own columns among it; empty for a record of another kind."""
    history = history_bytes(record)
    items = [] if history is None else [v for n, v in fields(history) if n == _ITEM and isinstance(v, bytes)]
    return {name_of(parts): _value(parts) for item in items for parts in [list(fields(item))]}


def _value(parts: list[tuple[int, bytes | int]]) -> Json:
    text = next((v for n, v in parts if n == _VALUE and isinstance(v, bytes)), b"null")
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value
