"""Writes `.wandb` bytes: the reader's counterpart, made from the format's description and sharing no line with it.

`log_file` cuts records into chunks and blocks; `history`, `summary`, `run`, `ended` make the records' protobuf bytes.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32 * 1024


def log_file(records: Iterable[bytes]) -> bytes:
    """A whole file."""
    return HEADER + b"".join(chunks(records, len(HEADER)))


def chunks(records: Iterable[bytes], position: int) -> Iterable[bytes]:
    """What is appended to a file of `position` bytes for these records, piece by piece."""
    for record in records:
        is_first = True
        rest = record
        while True:
            room = BLOCK - position % BLOCK
            if room < 7:
                yield b"\0" * room
                position += room
                continue
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[is_first, not rest]
            body = bytes([kind]) + part
            yield struct.pack("<IH", zlib.crc32(body), len(part)) + body
            position += 7 + len(part)
            is_first = False
            if not rest:
                break


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def int_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def history(number: int, step: int, row: Mapping[str, object], *, nested: bool = True) -> bytes:
    """A history record; `nested`: with nested keys as the Go core writes them, else with plain ones."""
    items = b"".join(bytes_field(1, item(name, json.dumps(value), nested=nested)) for name, value in row.items())
    return record(number, 2, items + bytes_field(2, int_field(1, step)))


def item(name: str, text: str, *, nested: bool) -> bytes:
    return bytes_field(2 if nested else 1, name.encode()) + bytes_field(16, text.encode())


def nested_item(keys: Sequence[str], text: str) -> bytes:
    return b"".join(bytes_field(2, key.encode()) for key in keys) + bytes_field(16, text.encode())


def summary(number: int, row: Mapping[str, object]) -> bytes:
    updates = b"".join(bytes_field(1, item(name, json.dumps(value), nested=False)) for name, value in row.items())
    return record(number, 3, updates)


def run(number: int, run_id: str, entity: str, project: str, name: str) -> bytes:
    texts = ((1, run_id), (2, entity), (3, project), (8, name))
    return record(number, 17, b"".join(bytes_field(field, text.encode()) for field, text in texts if text))


def ended(number: int, code: int) -> bytes:
    return record(number, 18, int_field(1, code))


def record(number: int, field: int, payload: bytes) -> bytes:
    return int_field(1, number) + bytes_field(field, payload) + bytes_field(200, b"\n\x02id")
