"""Reads a `.wandb` file with wandb's own protobuf classes: the oracle that our readers and our mirror are held against.

It shares no line with `auto_loop`, and needs some wandb to be importable. `python decode.py FILE` prints JSON:
`{"run": {...}, "ended": true, "rows": [{"_step": 0, "a.b": 1.0, ...}, ...]}`, nested keys joined by dots, one row a
step, in order of step.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterator

BLOCK = 32768


def payloads(data: bytes) -> Iterator[bytes]:
    if data[:7] != b":W&B\xe1\xbe\x00":
        raise ValueError("no .wandb header")
    at, whole = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, at)
        chunk = data[at + 7 : at + 7 + length]
        if kind == 0 or len(chunk) < length:
            return
        if zlib.crc32(bytes([kind]) + chunk) != crc:
            raise ValueError(f"bad checksum at byte {at}")
        at += 7 + length
        whole = chunk if kind in (1, 2) else whole + chunk
        if kind in (1, 4):
            yield whole


def flat(value, path):
    """What is no mapping, under its dotted path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def decode(path):
    from wandb.proto import wandb_internal_pb2 as pb

    run, rows, ended = {}, {}, False
    with open(path, "rb") as file:
        data = file.read()
    for payload in payloads(data):
        record = pb.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = {name: getattr(record.run, name) for name in ("run_id", "entity", "project", "display_name")}
        elif kind == "exit":
            ended = True
        elif kind == "history":
            row = {}
            for item in record.history.item:
                key = item.key or ".".join(item.nested_key)
                row.update(flat(json.loads(item.value_json), key))
            step = row.get("_step", record.history.step.num)  # 0.16 leaves the field out for explicit steps
            rows.setdefault(step, {}).update(row)
    return {"run": run, "ended": ended, "rows": [{**rows[step], "_step": step} for step in sorted(rows)]}


if __name__ == "__main__":
    print(json.dumps(decode(sys.argv[1])))
