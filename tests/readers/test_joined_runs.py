"""Output folders with several W&B runs, as retries that resume leave them: one history."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.readers import files
from auto_loop.readers.base import Cursor, Point, Reading
from auto_loop.readers.registry import READERS, read_run, tail_run
from auto_loop.readers.wandb_datastore import wandb_datastore
from auto_loop.readers.wandb_history import wandb_history
from auto_loop.readers.wandb_runs import WandbRuns
from auto_loop.readers.windows import Windows
from tests.readers import encode

Rows = Sequence[tuple[int, Mapping[str, float]]]
Write = Callable[[Path, str, Rows], Path]


def losses(steps: Sequence[int], run: int) -> Rows:
    """One loss a step; its value tells the run that logged it."""
    return [(step, {"loss": run + step / 1e6}) for step in steps]


def mirror(folder: Path, run: str, rows: Rows) -> Path:
    file = folder / "wandb" / run / "files" / "wandb-history.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"_step": step, **row}) + "\n" for step, row in rows)
    return file


def datastore(folder: Path, run: str, rows: Rows) -> Path:
    file = folder / "wandb" / run / f"run-{run.rsplit('-', 1)[1]}.wandb"
    file.parent.mkdir(parents=True, exist_ok=True)
    size = file.stat().st_size if file.exists() else 0
    records = [encode.history(1, step, {"_step": step, **row}) for step, row in rows]
    with file.open("ab") as stream:
        stream.write(encode.log_file(records) if not size else b"".join(encode.chunks(records, size)))
    return file


both = pytest.mark.parametrize(
    ("reader", "write"), [(wandb_history(), mirror), (wandb_datastore(), datastore)], ids=["mirror", ".wandb"]
)


def name(number: int, run_id: str = "") -> str:
    return f"offline-run-20260101_00000{number}-{run_id or f'id{number}'}"


def runs_of(reading: Reading, metric: str = "loss") -> list[tuple[int, int]]:
    """Each step, and the number of the run that logged it."""
    one = reading.series[metric]
    return [(step, int(value)) for step, value in zip(one.steps.tolist(), one.values.tolist(), strict=True)]


def tail_whole(reader: WandbRuns, folder: Path, cursor: Cursor | None) -> tuple[list[Point], Cursor]:
    points: list[Point] = []
    while True:
        new, cursor = reader.tail(folder, cursor)
        if not new:
            return points, cursor
        points += new


@both
def test_a_resumed_run_goes_on_where_the_killed_one_had_its_checkpoint(
    reader: WandbRuns, write: Write, tmp_path: Path
) -> None:
    write(tmp_path, name(1), losses((100, 200, 300, 350), 1))
    write(tmp_path, name(2), losses((300, 400), 2))
    reading = reader.read(tmp_path)
    assert runs_of(reading) == [(100, 1), (200, 1), (300, 2), (400, 2)]
    assert reading.run_id == "id2"
    assert reading.notes == ("2 W&B runs were joined at step 300",)


@both
def test_a_run_begun_anew_replaces_all(reader: WandbRuns, write: Write, tmp_path: Path) -> None:
    write(tmp_path, name(1), losses((100, 200, 300), 1))
    write(tmp_path, name(2), losses((100,), 2))
    reading = reader.read(tmp_path)
    assert runs_of(reading) == [(100, 2)]
    assert reading.notes == ()


@both
def test_three_runs_and_one_without_numbers(reader: WandbRuns, write: Write, tmp_path: Path) -> None:
    write(tmp_path, name(1), losses((0, 100, 200, 300), 1))
    write(tmp_path, name(2), losses((200, 300), 2))
    write(tmp_path, name(3), [])
    write(tmp_path, name(4), losses((300, 400), 4))
    reading = reader.read(tmp_path)
    assert runs_of(reading) == [(0, 1), (100, 1), (200, 2), (300, 4), (400, 4)]
    assert reading.notes[-1] == "3 W&B runs were joined at step 200, 300"


@both
def test_a_metric_that_the_newer_run_has_not_logged_yet_ends_where_that_begins(
    reader: WandbRuns, write: Write, tmp_path: Path
) -> None:
    """Its values after the checkpoint belong to steps that are made again."""
    write(tmp_path, name(1), [(100, {"loss": 1, "eval": 1}), (300, {"loss": 1, "eval": 1})])
    write(tmp_path, name(2), [(200, {"loss": 2})])
    reading = reader.read(tmp_path)
    assert runs_of(reading) == [(100, 1), (200, 2)]
    assert runs_of(reading, "eval") == [(100, 1)]


@both
def test_under_one_id_each_metric_goes_on_by_itself(reader: WandbRuns, write: Write, tmp_path: Path) -> None:
    write(tmp_path, name(1, "same"), [(100, {"loss": 1, "gpu": 1}), (300, {"loss": 1, "gpu": 1})])
    write(tmp_path, name(2, "same"), [(200, {"loss": 2})])
    reading = reader.read(tmp_path)
    assert runs_of(reading) == [(100, 1), (200, 2)]
    assert runs_of(reading, "gpu") == [(100, 1), (300, 1)]


def test_runs_whose_own_step_begins_anew_are_joined_by_the_trainers(tmp_path: Path) -> None:
    """W&B counts from 0 in each offline run when the trainer gives no step."""
    steps = {1: (100, 200, 300), 2: (300, 400)}
    for run, logged in steps.items():
        rows = [(at, {"global_step": step, "loss": run}) for at, step in enumerate(logged)]
        mirror(tmp_path, name(run), rows)
    assert runs_of(wandb_history().read(tmp_path)) == [(100, 1), (200, 1), (300, 2), (400, 2)]


@both
def test_a_tail_tells_the_older_runs_first_and_then_follows_the_newest(
    reader: WandbRuns, write: Write, tmp_path: Path
) -> None:
    write(tmp_path, name(1), losses((100, 200), 1))
    points, cursor = tail_whole(reader, tmp_path, None)
    assert [point.step for point in points] == [100, 200]
    write(tmp_path, name(1), losses((300,), 1))
    newest = write(tmp_path, name(2), losses((200,), 2))
    points, cursor = tail_whole(reader, tmp_path, cursor)
    assert [(point.step, int(point.value)) for point in points] == [(300, 1), (200, 2)]
    assert list(cursor.files) == [str(newest)]
    write(tmp_path, name(2), losses((300,), 2))
    points, _ = tail_whole(reader, tmp_path, cursor)
    assert [(point.step, int(point.value)) for point in points] == [(300, 2)]


@both
def test_what_is_older_than_the_cursors_run_is_never_read_again(
    reader: WandbRuns, write: Write, tmp_path: Path
) -> None:
    old = write(tmp_path, name(1), losses((100, 200), 1))
    write(tmp_path, name(2), losses((200,), 2))
    _, cursor = tail_whole(reader, tmp_path, None)
    old.unlink()
    old.write_bytes(b"another file with other words")
    write(tmp_path, name(2), losses((300,), 2))
    points, _ = tail_whole(reader, tmp_path, cursor)
    assert [(point.step, int(point.value)) for point in points] == [(300, 2)]


def test_the_trainers_step_of_a_resumed_run_is_followed_though_it_fell_back(tmp_path: Path) -> None:
    for run, logged in {1: (100, 200, 300), 2: (200, 300)}.items():
        mirror(tmp_path, name(run), [(at, {"global_step": step, "loss": run}) for at, step in enumerate(logged)])
    points, _ = tail_whole(wandb_history(), tmp_path, None)
    assert [(point.step, int(point.value)) for point in points] == [(100, 1), (200, 1), (300, 1), (200, 2), (300, 2)]


def test_of_a_long_history_in_two_folders_the_older_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SLICE_BYTES", 64)
    mirror(tmp_path, name(1, "same"), losses(range(50), 1))
    mirror(tmp_path, name(2, "same"), losses(range(50, 60), 2))
    points, _ = tail_whole(wandb_history(), tmp_path, None)
    assert [point.step for point in points] == list(range(60))


@pytest.mark.parametrize("file", ["metrics.jsonl", "windows.jsonl"])
def test_a_resumed_trainer_that_appends_is_joined_by_step(file: str, tmp_path: Path) -> None:
    rows = [*losses((100, 200, 300), 1), *losses((200, 300, 400), 2)]
    text = "".join(json.dumps({"step": step, **row}) + "\n" for step, row in rows)
    (tmp_path / file).write_text(text)
    assert runs_of(Windows().read(tmp_path)) == [(100, 1), (200, 2), (300, 2), (400, 2)]


STARTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(STARTS)
def test_a_newer_run_replaces_everything_from_its_own_first_step_on(runs: list[tuple[int, int]]) -> None:
    expected: dict[int, int] = {}
    with TemporaryDirectory() as place:
        for number, (first, length) in enumerate(runs, start=1):
            steps = range(first, first + length)
            mirror(Path(place), name(number), losses(steps, number))
            if length:
                expected = {step: run for step, run in expected.items() if step < first} | dict.fromkeys(steps, number)
        reading = wandb_history().read(Path(place))
        assert (runs_of(reading) if reading.series else []) == sorted(expected.items())
        points, _ = tail_whole(wandb_history(), Path(place), None)
        told = [(int(point.value), point.step) for point in points]
        assert told == [(n, step) for n, (first, length) in enumerate(runs, 1) for step in range(first, first + length)]


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [
                b'{"_step": 1, "loss": 0.5}\n',
                b'{"_step": 1e400, "loss": NaN}\n',
                b'{"_step": -5, "step": "x", "loss": 1e999}\n',
                b'{"step": 9007199254740993, "loss": -Infinity}\n',
                b'{"global_step": 3.5, "loss": true, "x": {"y": {"z": 1}}}\n',
                b"[" * 50 + b"\n",
                b"\x00" * 40,
                b"\n",
                encode.log_file([encode.history(1, 2, {"_step": 2, "loss": 1.0})]),
            ]
        ),
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(PIECES, min_size=6, max_size=6))
def test_garbage_is_read_for_what_it_is_worth(pieces: list[bytes]) -> None:
    """Damage is told in the notes, never raised, in whichever of a run's files it is."""
    places = [
        f"wandb/{name(1)}/files/wandb-history.jsonl",
        f"wandb/{name(2)}/files/wandb-history.jsonl",
        f"wandb/{name(1)}/run-id1.wandb",
        f"wandb/{name(2)}/files/wandb-summary.json",
        "metrics.jsonl",
        "windows.jsonl",
    ]
    with TemporaryDirectory() as folder:
        for place, piece in zip(places, pieces, strict=True):
            file = Path(folder, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(piece)
        read_run(Path(folder))
        _, cursor = tail_run(Path(folder), None)
        tail_run(Path(folder), cursor)
        for reader in READERS:
            assert all(len(one.steps) for one in reader.read(Path(folder)).series.values())
            reader.tail(Path(folder), None)
