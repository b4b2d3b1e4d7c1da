"""Figures of the `.wandb` reader: rows a second beside a plain decoder, and what new rows cost.

    python benchmarks/wandb_reader.py

Goals: 25,000 rows/s on 20,000 rows × 33 keys; 1,000 new rows on a history of 1,000,000 rows in at most 150 ms. The
plain decoder walks the same protobuf bytes field by field and parses each value with `json.loads`, as one would write
it first. Figures are CPU time, with the clock's in brackets: on a machine that others use too, the two differ.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, FilePlace
from auto_loop.readers.log_blocks import LogRecords
from auto_loop.readers.wandb_datastore import DatastoreRows, wandb_datastore
from auto_loop.readers.wandb_records import history_bytes, slow_row
from tests.readers import encode

ROWS, KEYS = 20_000, 33
LONG_HISTORY, NEW_ROWS = 1_000_000, 1_000
GOAL_RATE, GOAL_TAIL_MS = 25_000, 150


def records(begin: int, end: int, keys: int, summaries: bool = True) -> Iterator[bytes]:
    """Rows of W&B's own columns and `keys` metrics, in an order that changes from row to row, as Go writes them."""
    rng = random.Random(begin)
    names = [f"train/metric_{key:02d}" for key in range(keys)]
    for step in range(begin, end):
        row: dict[str, object] = {"_step": step, "_runtime": step / 7, "_timestamp": 1.7e9 + step / 7}
        row.update({name: rng.random() for name in names})
        shuffled = dict(rng.sample(list(row.items()), len(row)))
        yield encode.history(2 * step, step, shuffled)
        if summaries:
            yield encode.summary(2 * step + 1, shuffled)


def naive_rows(file: Path) -> Iterator[object]:
    """The plain decoder."""
    for record in LogRecords(file, 0):
        history = history_bytes(record)
        if history is not None:
            yield slow_row(history)


class Cost(NamedTuple):
    """Seconds: of this process's CPU time, and on the clock, where whatever else the machine does counts too."""

    cpu: float
    wall: float


def cost(work: Callable[[], object], times: int) -> Cost:
    """The least of several goes."""
    goes = []
    for _ in range(times):
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        goes.append((time.process_time() - cpu_began, time.perf_counter() - began))
    return Cost(*(min(column) for column in zip(*goes, strict=True)))


def read_cost(folder: Path) -> tuple[Cost, Cost, Cost]:
    """What 20,000 rows cost: ours into series; ours, rows only; the plain decoder's rows."""
    run = folder / "wandb" / "run-20260101_000000-bench"
    run.mkdir(parents=True)
    file = run / "run-bench.wandb"
    file.write_bytes(encode.log_file(records(0, ROWS, KEYS)))
    begin = FilePlace(inode=0, offset=0)
    whole = cost(lambda: check(folder), 3)
    rows_only = cost(lambda: sum(1 for _ in DatastoreRows(file, begin)), 3)
    return whole, rows_only, cost(lambda: sum(1 for _ in naive_rows(file)), 1)


def check(folder: Path) -> None:
    reading = wandb_datastore().read(folder)
    assert len(reading.series) == KEYS, sorted(reading.series)
    assert all(len(one.steps) == ROWS for one in reading.series.values())


def tail_cost(folder: Path) -> tuple[Cost, Cost]:
    """What the points of 1,000 new rows of 33 keys behind 1,000,000 rows cost, and a look that finds none.

    The rows before have 3 keys, to spare the disk: what stands before the cursor is never read.
    """
    run = folder / "wandb" / "run-20260101_000001-long"
    run.mkdir(parents=True)
    file = run / "run-long.wandb"
    segment, rows_in_it = whole_blocks(encode.BLOCK * 40)
    with file.open("wb") as stream:
        stream.write(encode.HEADER + first_block())
        for _ in range(LONG_HISTORY // rows_in_it + 1):
            stream.write(segment)
    cursor = Cursor(
        source=Source.WANDB,
        files={str(file): FilePlace(inode=file.stat().st_ino, offset=file.stat().st_size)},
    )
    with file.open("ab") as stream:
        new = records(LONG_HISTORY, LONG_HISTORY + NEW_ROWS, KEYS)
        stream.write(b"".join(encode.chunks(new, file.stat().st_size)))
    reader = wandb_datastore()
    points, after = reader.tail(folder, cursor)
    assert len(points) == NEW_ROWS * KEYS, len(points)
    return cost(lambda: reader.tail(folder, cursor), 5), cost(lambda: reader.tail(folder, after), 5)


def first_block() -> bytes:
    """What fills the rest of the first block, behind the header."""
    return b"".join(encode.chunks([filler(encode.BLOCK - len(encode.HEADER) - 7)], len(encode.HEADER)))


def whole_blocks(size: int) -> tuple[bytes, int]:
    """Rows of 3 keys that fill `size` bytes of blocks exactly, and how many they are."""
    written = bytearray()
    for rows, record in enumerate(records(0, 1 << 40, 3, summaries=False)):
        piece = b"".join(encode.chunks([record], len(written)))
        left = size - len(written) - len(piece)
        if left < 64:
            written += b"".join(encode.chunks([filler(size - len(written) - 7)], len(written)))
            return bytes(written), rows
        written += piece
    raise AssertionError


def filler(size: int) -> bytes:
    """A record of `size` bytes of a kind that nobody reads."""
    payload = next(n for n in range(size, 0, -1) if len(encode.bytes_field(100, b" " * n)) == size)
    return encode.bytes_field(100, b" " * payload)


def figures() -> list[tuple[str, str, str]]:
    """What was measured: name, figure, goal. CPU time, and in brackets the clock's."""
    with tempfile.TemporaryDirectory() as folder:
        whole, rows_only, plain = read_cost(Path(folder) / "short")
        new_rows, nothing = tail_cost(Path(folder) / "long")
    return [
        (".wandb, 20,000 rows × 33 keys, into series", rate(whole), f">= {GOAL_RATE:,}"),
        (".wandb, rows alone", rate(rows_only), ""),
        (".wandb, a plain protobuf walk of the same file", rate(plain), ""),
        (".wandb, 1,000 new rows behind 1,000,000", milliseconds(new_rows), f"<= {GOAL_TAIL_MS}"),
        (".wandb, a look that finds nothing new", milliseconds(nothing), ""),
    ]


def rate(spent: Cost) -> str:
    return f"{ROWS / spent.cpu:,.0f} rows/s ({ROWS / spent.wall:,.0f})"


def milliseconds(spent: Cost) -> str:
    return f"{spent.cpu * 1e3:,.2f} ms ({spent.wall * 1e3:,.2f})"


def main() -> None:
    for name, figure, goal in figures():
        print(f"{name:<50}{figure:>26}  {goal}")


if __name__ == "__main__":
    main()
