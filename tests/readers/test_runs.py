"""Runs found below a folder, whoever started them."""

import json
import os
from pathlib import Path

import pytest

from auto_loop.readers.runs import find_config, find_runs
from auto_loop.readers.summaries import summary_of
from tests.readers import encode

LINE = b'{"step": 1, "train/loss": 2.0}\n{"step": 2, "train/loss": 1.0}\n'


def put(file: Path, data: bytes, at: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    os.utime(file, (at, at))


def put_wandb(folder: Path, run: str, at: float) -> Path:
    record = encode.history(1, 1, {"loss": at})
    put(folder / "wandb" / run / f"run-{run[-3:]}.wandb", encode.log_file([record]), at)
    return folder


@pytest.fixture
def tree(tmp_path) -> Path:
    put(tmp_path / "loop_1" / "a" / "metrics.jsonl", LINE, 100)
    put_wandb(tmp_path / "loop_2" / "b", "offline-run-20260101_000000-bbb", 300)
    put(tmp_path / "2026" / "deep" / "c" / "wandb" / "run-20200101_000000-ccc" / "wandb-history.jsonl", b"{}", 200)
    put(tmp_path / "loop_1" / "d" / "metrics" / "windows.jsonl", LINE, 50)
    put(tmp_path / "loop_1" / "a" / "checkpoints" / "000100" / "metrics.jsonl", LINE, 999)
    put(tmp_path / "notes" / "readme.txt", b"", 999)
    return tmp_path


def names(root: Path, runs: list[Path]) -> list[str]:
    return [run.relative_to(root).as_posix() for run in runs]


def test_runs_are_found_at_any_depth_the_latest_written_first(tree):
    assert names(tree, find_runs(tree, 100)) == ["loop_2/b", "2026/deep/c", "loop_1/a", "loop_1/d"]
    assert names(tree, find_runs(tree, 2)) == ["loop_2/b", "2026/deep/c"]


def test_a_run_itself_can_be_the_root(tree):
    assert find_runs(tree / "loop_1" / "a", 100) == [tree / "loop_1" / "a"]


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert find_runs(tmp_path, 100) == []
    assert find_runs(tmp_path / "missing", 100) == []


def test_two_wandb_runs_of_one_output_folder_are_one_run(tmp_path):
    put_wandb(tmp_path / "job", "run-20260101_000000-aaa", 100)
    put_wandb(tmp_path / "job", "run-20260102_000000-bbb", 200)
    assert find_runs(tmp_path, 100) == [tmp_path / "job"]


@pytest.mark.parametrize("inner", [".", "wandb"])
def test_the_many_runs_of_plain_scripts_are_found_each(tmp_path, inner):
    put_wandb(tmp_path, "run-20260101_000000-aaa", 100)
    put_wandb(tmp_path, "run-20260102_000000-bbb", 300)
    put_wandb(tmp_path, "run-20260103_000000-aaa", 200)  # resumed
    runs = find_runs(tmp_path / inner, 100)
    assert [run.name for run in runs] == ["run-20260102_000000-bbb", "run-20260103_000000-aaa"]
    summary = summary_of(runs[1])
    assert summary is not None
    assert summary.series["loss"].values.tolist() == [200.0]


@pytest.mark.parametrize(
    "place",
    ["train_config.json", "config.json", "checkpoints/000200/pretrained_model/train_config.json"],
)
def test_the_config_is_the_runs_own_or_its_newest_checkpoints(tmp_path, place):
    put(tmp_path / "checkpoints" / "000100" / "pretrained_model" / "train_config.json", b'{"old": 1}', 1)
    put(tmp_path / place, b'{"steps": 5}', 1)
    found = find_config(tmp_path)
    assert found is not None
    assert found.config.data() == {"steps": 5}
    assert found.file == (tmp_path / place).as_posix()


def test_a_config_that_is_no_json_is_none(tmp_path):
    put(tmp_path / "config.json", b"{", 1)
    assert find_config(tmp_path) is None


def test_a_run_as_a_summary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/train/loop_1700000000/a")
    put(folder / "metrics.jsonl", LINE, 1)
    put(folder / "train_config.json", json.dumps({"steps": 2}).encode(), 1)
    summary = summary_of(folder)
    assert summary is not None
    assert (summary.run_dir, summary.outcome, summary.wandb_url) == ("outputs/train/loop_1700000000/a", None, "")
    assert summary.config is not None
    assert summary.config_file == "outputs/train/loop_1700000000/a/train_config.json"
    loss = summary.metrics["train/loss"]
    assert (loss.first, loss.last, loss.best, loss.best_step, loss.pct) == (2.0, 1.0, 1.0, 2, -50.0)


def test_a_folder_without_metrics_is_no_summary(tmp_path):
    assert summary_of(tmp_path) is None


def test_the_key_shows_that_a_run_lies_in_outputs_train(tmp_path, monkeypatch):
    put(tmp_path / "outputs" / "train" / "loop_1700000000" / "a" / "metrics.jsonl", LINE, 1)
    monkeypatch.chdir(tmp_path / "outputs")
    summary = summary_of(Path("train/loop_1700000000/a"))
    assert summary is not None
    assert "/outputs/train/loop_1700000000/" in summary.run_dir
