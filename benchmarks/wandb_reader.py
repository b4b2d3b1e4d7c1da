"""Figures of the `.wandb` reader: rows a second beside a plain decoder, and what new rows cost.

    python benchmarks/wandb_reader.py

Goals: 25,000 rows/s on 20,000 rows × 33 keys; 1,000 new rows on a history of 1,000,000 rows in at most 150 ms. The
plain decoder walks the same protobuf bytes field by field and parses each value with `json.loads`, as one would write
it first: the ratio in one run counts, on a machine that others use too.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, FilePlace
from auto_loop.readers.log_blocks import LogRecords
from auto_loop.readers.wandb_datastore import DatastoreRows, WandbDatastore
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


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def read_rate(folder: Path) -> tuple[float, float, float]:
    """Rows a second: ours into series; ours, rows only; the plain decoder's rows."""
    run = folder / "wandb" / "run-20260101_000000-bench"
    run.mkdir(parents=True)
    file = run / "run-bench.wandb"
    file.write_bytes(encode.log_file(records(0, ROWS, KEYS)))
    print(f"file: {file.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
    whole = min(seconds(lambda: check(folder)) for _ in range(3))
    begin = FilePlace(inode=0, offset=0)
    rows_only = min(seconds(lambda: sum(1 for _ in DatastoreRows(file, begin))) for _ in range(3))
    plain = seconds(lambda: sum(1 for _ in naive_rows(file)))
    return ROWS / whole, ROWS / rows_only, ROWS / plain


def check(folder: Path) -> None:
    reading = WandbDatastore().read(folder)
    assert len(reading.series) == KEYS, sorted(reading.series)
    assert all(len(one.steps) == ROWS for one in reading.series.values())


def tail_cost(folder: Path) -> tuple[float, float]:
    """Milliseconds for the points of 1,000 new rows of 33 keys behind 1,000,000 rows, and for a look that finds none.

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
    reader = WandbDatastore()
    points, after = reader.tail(folder, cursor)
    assert len(points) == NEW_ROWS * KEYS, len(points)
    new_rows = min(seconds(lambda: reader.tail(folder, cursor)) for _ in range(5))
    nothing = min(seconds(lambda: reader.tail(folder, after)) for _ in range(5))
    return new_rows * 1e3, nothing * 1e3


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
    """What was measured: name, figure, goal."""
    with tempfile.TemporaryDirectory() as folder:
        whole, rows_only, plain = read_rate(Path(folder) / "short")
        new_rows, nothing = tail_cost(Path(folder) / "long")
    return [
        (".wandb, 20,000 rows × 33 keys, into series", f"{whole:,.0f} rows/s", f">= {GOAL_RATE:,}"),
        (".wandb, rows alone", f"{rows_only:,.0f} rows/s", ""),
        (".wandb, a plain protobuf walk of the same file", f"{plain:,.0f} rows/s", ""),
        (".wandb, 1,000 new rows behind 1,000,000", f"{new_rows:,.1f} ms", f"<= {GOAL_TAIL_MS}"),
        (".wandb, a look that finds nothing new", f"{nothing:,.3f} ms", ""),
    ]


def main() -> None:
    for name, figure, goal in figures():
        print(f"{name:<50}{figure:>16}  {goal}")


if __name__ == "__main__":
    main()
