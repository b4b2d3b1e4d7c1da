"""When each step of a run was logged: read beside the metrics, on the same steps."""

import json
import shutil
from pathlib import Path

import pytest

from auto_loop.domain.config import Json
from auto_loop.domain.series import Series
from auto_loop.readers.clock import clock_of
from auto_loop.readers.registry import read_run

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "wandb"


def mirrored(folder: Path, rows: list[dict[str, Json]]) -> Path:
    file = folder / "wandb" / "offline-run-20260101_000000-abc" / "files" / "wandb-history.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def clock_in(folder: Path) -> Series | None:
    reading = read_run(folder)
    assert reading is not None
    return clock_of(folder, reading)


def test_a_mirrored_history_gives_its_timestamps(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [{"_step": at, "_timestamp": 1e9 + 2 * at, "loss": 0.5} for at in (0, 50, 100)]
    clock = clock_in(mirrored(tmp_path, rows))
    assert clock is not None
    assert clock.steps.tolist() == [0, 50, 100]
    assert (clock.values - 1e9).tolist() == [0, 100, 200]


def test_the_clock_stands_on_the_steps_that_the_metrics_went_over_to(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [
        {"_step": at, "_runtime": 10.0 * at, "global_step": 100 * at, "loss": 0.5} for at in range(1, 5)
    ]
    clock = clock_in(mirrored(tmp_path, rows))
    reading = read_run(tmp_path)
    assert clock is not None
    assert reading is not None
    assert reading.series["loss"].steps.tolist() == clock.steps.tolist() == [100, 200, 300, 400]


@pytest.mark.parametrize("name", ["timestamp", "time", "_timestamp"])
def test_a_plain_log_may_have_one(tmp_path: Path, name: str) -> None:
    rows = [json.dumps({"step": at, name: at / 10, "loss": 1.0}) for at in (10, 20, 30)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*rows, "{torn"]) + "\n")
    clock = clock_in(tmp_path)
    assert clock is not None
    assert dict(zip(clock.steps.tolist(), clock.values.tolist(), strict=True)) == {10: 1.0, 20: 2.0, 30: 3.0}


@pytest.mark.parametrize("times", [[None, None, None], [3.0, 2.0, 1.0], ["soon", {}, float("nan")]])
def test_no_clock_and_one_that_goes_back_are_none(tmp_path: Path, times: list[Json]) -> None:
    rows: list[dict[str, Json]] = [{"_step": at, "_timestamp": time, "loss": 1.0} for at, time in enumerate(times)]
    assert clock_in(mirrored(tmp_path, rows)) is None


@pytest.mark.parametrize("version", ["0.16.6", "0.24.2", "0.31.0"])
def test_a_datastore_file_gives_them_too(tmp_path: Path, version: str) -> None:
    shutil.copytree(GOLDEN / version / "part1", tmp_path / "wandb" / "run-20260101_000000-fixture01")
    rows = json.loads((GOLDEN / version / "expected.json").read_text())["parts"][0]["rows"]
    clock = clock_in(tmp_path)
    assert clock is not None
    assert len(clock.steps) > 2
    assert dict(zip(clock.steps.tolist(), clock.values.tolist(), strict=True)) == {
        row["_step"]: pytest.approx(row["_timestamp"], abs=1e-6) for row in rows
    }
