"""What every reader keeps to. A new reader is one line in `WRITERS` and passes all of this."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from auto_loop.domain.series import Source
from auto_loop.readers.base import Cursor, Point, Reader
from auto_loop.readers.registry import READERS
from tests.readers import encode

Rows = Sequence[tuple[int, Mapping[str, object]]]
RUN = Path("wandb", "offline-run-20260101_000000-abc")
ROWS: Rows = [
    (step, {"train/loss": 1 / (step + 1), "note": "text", "flag": True, "nested": {"l1": step}}) for step in range(1, 9)
]
MORE: Rows = [(20, {"train/loss": 0.01, "new": 5}), (21, {"train/loss": math.nan})]


def _append(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write(data)


def write_mirror(folder: Path, rows: Rows) -> Path:
    file = folder / RUN / "files" / "wandb-history.jsonl"
    _append(file, b"".join(json.dumps({"_step": s, "_runtime": 1.0, **row}).encode() + b"\n" for s, row in rows))
    return file


def write_jsonl(folder: Path, rows: Rows) -> Path:
    file = folder / "metrics.jsonl"
    _append(file, b"".join(json.dumps({"step": step, **row}).encode() + b"\n" for step, row in rows))
    return file


def write_datastore(folder: Path, rows: Rows) -> Path:
    file = folder / RUN / "run-abc.wandb"
    size = file.stat().st_size if file.exists() else 0
    records = [encode.history(1, step, {"_step": step, **row}) for step, row in rows]
    _append(file, encode.log_file(records) if not size else b"".join(encode.chunks(records, size)))
    return file


def write_summary(folder: Path, rows: Rows) -> Path:
    file = folder / RUN / "files" / "wandb-summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    last = {name: value for _, row in rows for name, value in row.items()}
    file.write_text(json.dumps({"_step": rows[-1][0] if rows else 0, **last}))
    return file


WRITERS: dict[Source, Callable[[Path, Rows], Path]] = {
    Source.MIRROR: write_mirror,
    Source.METRICS: write_jsonl,
    Source.WANDB: write_datastore,
    Source.FINAL_ONLY: write_summary,
}


every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.source.value)
# A last value is written once and never followed.
FOLLOWED = [reader for reader in READERS if reader.source is not Source.FINAL_ONLY]
every_follower = pytest.mark.parametrize("reader", FOLLOWED, ids=lambda reader: reader.source.value)


@pytest.fixture
def write(reader: Reader) -> Callable[[Path, Rows], Path]:
    return WRITERS[reader.source]


def nested_name(reader: Reader) -> str:
    return "nested/l1" if reader.source is Source.METRICS else "nested.l1"


def tail_all(reader: Reader, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
    points, cursor = reader.tail(folder, cursor)
    again, cursor = reader.tail(folder, cursor)
    assert again == []  # nothing is told twice
    return points, cursor


def test_the_registry_goes_by_the_order_of_sources():
    assert [reader.source for reader in READERS] == [source for source in Source if source in WRITERS]


@every_reader
def test_a_folder_without_its_files_cannot_be_read_and_is_no_error(reader, tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert not reader.can_read(folder)
        assert reader.read(folder).series == {}
        points, cursor = reader.tail(folder, None)
        assert points == []
        assert reader.tail(folder, cursor)[0] == []


@every_reader
def test_it_says_where_it_looks(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    assert any(file.name == place.rsplit("/", 1)[-1].replace("*", "abc") for place in reader.looked_for(tmp_path))


@every_reader
def test_numbers_become_series_and_nothing_else_does(reader, write, tmp_path):
    write(tmp_path, ROWS)
    assert reader.can_read(tmp_path)
    reading = reader.read(tmp_path)
    assert sorted(reading.series) == sorted(["train/loss", nested_name(reader)])
    assert {one.source for one in reading.series.values()} == {reading.source} == {reader.source}
    assert reading.notes == ()
    loss = reading.series["train/loss"]
    if reader.source is Source.FINAL_ONLY:
        assert (loss.steps.tolist(), loss.values.tolist()) == ([8], [1 / 9])
    else:
        assert loss.steps.tolist() == list(range(1, 9))
        assert loss.values.tolist() == [1 / (step + 1) for step in range(1, 9)]


@every_reader
def test_non_finite_numbers_are_kept(reader, write, tmp_path):
    write(tmp_path, [(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.0})])
    last = {name: one.values[-1] for name, one in reader.read(tmp_path).series.items()}
    np.testing.assert_equal(last, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.0})


@every_reader
def test_a_file_cut_anywhere_gives_a_beginning_of_it(reader, write, tmp_path):
    file = write(tmp_path, ROWS[:3])
    data, whole = file.read_bytes(), reader.read(tmp_path).series
    for cut in range(len(data)):
        file.write_bytes(data[:cut])
        for name, one in reader.read(tmp_path).series.items():
            assert one.values.tolist() == whole[name].values[: len(one.values)].tolist()


@every_reader
def test_a_file_of_noise_is_no_error(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    for noise in (b"\0" * 70_000, b"\xff\xfe{" * 9000, b"[1, 2]\n", b"{" * 5000, b'{"a": ' * 20000 + b"\n", b"\n\n"):
        file.write_bytes(noise)
        assert reader.read(tmp_path).series == {}
        assert reader.tail(tmp_path, None)[0] == []


@every_reader
def test_a_folder_in_the_place_of_its_file_is_no_error(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    file.unlink()
    file.mkdir()
    assert reader.read(tmp_path).series == {}
    assert reader.tail(tmp_path, None)[0] == []


@every_follower
def test_a_tail_tells_each_point_once(reader, write, tmp_path):
    write(tmp_path, ROWS)
    points, cursor = tail_all(reader, tmp_path, None)
    expected = [("train/loss", s, 1 / (s + 1)) for s in range(1, 9)] + [
        (nested_name(reader), s, s) for s in range(1, 9)
    ]
    assert sorted((p.name, p.step, p.value) for p in points) == sorted(expected)
    write(tmp_path, MORE)
    points, cursor = tail_all(reader, tmp_path, cursor)
    np.testing.assert_equal(
        [(p.name, p.step, p.value) for p in points],
        [("train/loss", 20, 0.01), ("new", 20, 5.0), ("train/loss", 21, math.nan)],
    )


@every_follower
def test_a_tail_waits_for_the_rest_of_a_row(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    data = file.read_bytes()
    file.write_bytes(b"")
    cursor, points = None, []
    for at in range(len(data)):  # byte by byte
        _append(file, data[at : at + 1])
        new, cursor = reader.tail(tmp_path, cursor)
        points += new
    assert sorted({(p.name, p.step) for p in points}) == sorted((p.name, p.step) for p in points)
    assert [p.value for p in points if p.name == "train/loss"] == [1 / (step + 1) for step in range(1, 9)]


@every_follower
def test_a_file_that_was_replaced_is_read_from_its_start(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    _, cursor = tail_all(reader, tmp_path, None)
    file.rename(file.with_suffix(".old"))
    points, cursor = tail_all(reader, tmp_path, cursor)
    assert points == []
    write(tmp_path, MORE)
    points, cursor = tail_all(reader, tmp_path, cursor)
    assert [p.step for p in points if p.name == "train/loss"] == [20, 21]


@every_follower
def test_a_cursor_does_not_grow_with_the_history(reader, write, tmp_path):
    write(tmp_path, ROWS)
    _, early = tail_all(reader, tmp_path, None)
    write(tmp_path, [(step, {"train/loss": 0.5}) for step in range(100, 600)])
    _, late = tail_all(reader, tmp_path, early)
    assert (len(late.files), len(late.counts), len(late.clock)) == (1, len(early.counts), len(early.clock))


@every_follower
def test_what_stands_before_the_cursor_is_never_read_again(reader, write, tmp_path):
    file = write(tmp_path, ROWS)
    _, cursor = tail_all(reader, tmp_path, None)
    with file.open("r+b") as stream:  # the same file, its past made unreadable
        stream.write(b"\xff" * file.stat().st_size)
    write(tmp_path, MORE)
    points, _ = tail_all(reader, tmp_path, cursor)
    assert [p.step for p in points if p.name == "train/loss"] == [20, 21]
