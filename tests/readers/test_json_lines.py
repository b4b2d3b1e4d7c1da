"""The JSONL readers: which column is the step, what is damaged, and what the mirror marks."""

import json
from pathlib import Path

import pytest

from auto_loop.readers.wandb_history import wandb_history
from auto_loop.readers.windows import Windows


def metrics(folder: Path, *lines: dict | str, name: str = "metrics.jsonl") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / name).write_text(text)
    return folder


def history(folder: Path, *lines: dict | str, run: str = "run-20260101_000000-abc/files") -> Path:
    return metrics(folder, *lines, name=f"wandb/{run}/wandb-history.jsonl")


def points(reading) -> dict[str, list[tuple[int, float]]]:
    return {n: list(zip(one.steps.tolist(), one.values.tolist(), strict=True)) for n, one in reading.series.items()}


@pytest.mark.parametrize("name", ["step", "global_step", "train/step", "env_steps", "window_env_steps", "_step"])
def test_the_step_of_a_jsonl_row_is_the_trainers_and_no_metric(tmp_path, name):
    metrics(tmp_path, {name: 100, "loss": 2.0}, {name: 200, "loss": 1.0})
    assert points(Windows().read(tmp_path)) == {"loss": [(100, 2.0), (200, 1.0)]}


def test_rows_are_counted_where_no_step_is_shown(tmp_path):
    metrics(tmp_path, {"loss": 2.0}, {"loss": 1.0}, {"step": 50, "loss": 0.5}, {"eval/l1": 0.1})
    assert points(Windows().read(tmp_path)) == {"loss": [(0, 2.0), (1, 1.0), (50, 0.5)], "eval/l1": [(50, 0.1)]}


def test_a_resumed_trainer_steps_back_and_the_later_row_wins(tmp_path):
    metrics(tmp_path, *({"step": step, "loss": float(n)} for n, step in enumerate([10, 20, 30, 20, 30, 40])))
    assert points(Windows().read(tmp_path)) == {"loss": [(10, 0.0), (20, 3.0), (30, 4.0), (40, 5.0)]}


def test_nested_numbers_are_joined_by_slashes(tmp_path):
    metrics(tmp_path, {"step": 1, "train": {"loss": 2.0, "deep": {"er": 1}}, "list": [1]})
    assert points(Windows().read(tmp_path)) == {"train/loss": [(1, 2.0)], "train/deep/er": [(1, 1.0)]}


@pytest.mark.parametrize("name", ["windows.jsonl", "metrics/metrics.jsonl", "metrics/windows.jsonl"])
def test_the_other_places(tmp_path, name):
    metrics(tmp_path, {"step": 1, "loss": 2.0}, name=name)
    assert points(Windows().read(tmp_path)) == {"loss": [(1, 2.0)]}


def test_the_first_file_with_numbers_wins_whole(tmp_path):
    metrics(tmp_path, {"note": "nothing"})
    metrics(tmp_path, {"step": 1, "loss": 2.0}, name="windows.jsonl")
    metrics(tmp_path, {"step": 1, "other": 2.0}, name="metrics/metrics.jsonl")
    assert list(Windows().read(tmp_path).series) == ["loss"]


def test_damaged_and_torn_lines_are_said_and_the_rest_is_kept(tmp_path):
    metrics(tmp_path, {"step": 1, "loss": 2.0}, '{"step": 2, "lo', "[]", "", {"step": 3, "loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "los')
    reading = Windows().read(tmp_path)
    assert points(reading) == {"loss": [(1, 2.0), (3, 1.0)]}
    assert reading.notes == (
        "metrics.jsonl: 2 damaged lines were skipped",
        "metrics.jsonl: the last line is torn (16 bytes)",
    )


def test_a_whole_last_line_without_its_newline_is_read_but_not_tailed(tmp_path):
    metrics(tmp_path, {"step": 1, "loss": 2.0})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "loss": 1.0}')
    reading = Windows().read(tmp_path)
    assert points(reading) == {"loss": [(1, 2.0), (2, 1.0)]}
    assert reading.notes == ()
    tailed, cursor = Windows().tail(tmp_path, None)
    assert [(p.step, p.value) for p in tailed] == [(1, 2.0)]
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write("\n")
    assert [(p.step, p.value) for p in Windows().tail(tmp_path, cursor)[0]] == [(2, 1.0)]


def test_one_key_a_line_is_one_row_a_step(tmp_path):
    history(tmp_path, {"_step": 5, "train/loss": 2.0}, {"_step": 5, "train/lr": 0.1}, {"_step": 5, "train/loss": 1.0})
    assert points(wandb_history().read(tmp_path)) == {"train/loss": [(5, 1.0)], "train/lr": [(5, 0.1)]}


def test_late_rows_were_dropped_by_wandb_and_are_here(tmp_path):
    history(tmp_path, {"_step": 5, "loss": 2.0}, {"_step": 3, "loss": 9.0, "_late": True}, {"_step": 5, "lr": 1.0})
    assert points(wandb_history().read(tmp_path)) == {"loss": [(5, 2.0)], "lr": [(5, 1.0)]}


def test_numbers_that_were_written_as_words(tmp_path):
    history(tmp_path, {"_step": 1, "loss": "Infinity", "name": "Infinite"})
    assert points(wandb_history().read(tmp_path)) == {"loss": [(1, float("inf"))]}


@pytest.mark.parametrize(
    "run",
    [
        "run-20200101_000000-abc",
        "run-20200101_000000-abc/files",
        "offline-run-20260101_000000-abc/files",
        "run-abc/files",
    ],
)
def test_mirrored_and_legacy_places(tmp_path, run):
    history(tmp_path, {"_step": 1, "loss": 2.0}, run=run)
    reading = wandb_history().read(tmp_path)
    assert (points(reading), reading.run_id) == ({"loss": [(1, 2.0)]}, "abc")


def test_latest_run_may_be_all_there_is(tmp_path):
    history(tmp_path, {"_step": 1, "loss": 2.0}, run="latest-run/files")
    assert points(wandb_history().read(tmp_path)) == {"loss": [(1, 2.0)]}


def test_latest_run_is_no_second_run(tmp_path, monkeypatch):
    history(tmp_path, {"_step": 1, "loss": 2.0})
    (tmp_path / "wandb" / "latest-run").symlink_to("run-20260101_000000-abc")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path()):
        tailed, cursor = wandb_history().tail(folder, None)
        assert (len(tailed), len(cursor.files)) == (1, 1)


def test_a_link_to_nowhere_is_no_error(tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "latest-run").symlink_to("gone")
    (tmp_path / "wandb" / "run-loop").symlink_to("run-loop")
    assert wandb_history().read(tmp_path).series == {}


def test_a_resumed_run_is_merged_and_the_later_wins(tmp_path):
    history(tmp_path, {"_step": 2, "loss": 9.0}, {"_step": 3, "loss": 8.0}, run="run-20260102_000000-abc/files")
    history(tmp_path, {"_step": 1, "loss": 1.0}, {"_step": 2, "loss": 2.0}, run="run-20260101_000000-abc/files")
    assert points(wandb_history().read(tmp_path)) == {"loss": [(1, 1.0), (2, 9.0), (3, 8.0)]}


def test_of_two_runs_the_newer_one_with_numbers_is_read(tmp_path):
    history(tmp_path, {"_step": 1, "loss": 1.0}, run="run-20260101_000000-old/files")
    history(tmp_path, {"_step": 1, "loss": 2.0}, run="run-20260102_000000-new/files")
    history(tmp_path, {"_step": 1, "note": "empty"}, run="run-20260103_000000-bare/files")
    reading = wandb_history().read(tmp_path)
    assert (reading.run_id, points(reading)) == ("new", {"loss": [(1, 2.0)]})


def test_a_wandb_run_folder_itself_can_be_read(tmp_path):
    history(tmp_path, {"_step": 1, "loss": 1.0})
    for folder in (tmp_path / "wandb", tmp_path / "wandb" / "run-20260101_000000-abc"):
        assert points(wandb_history().read(folder)) == {"loss": [(1, 1.0)]}


def test_the_trainers_logged_step_is_the_step_when_it_rises(tmp_path):
    history(
        tmp_path,
        {"_step": 0, "warm": 1.0},
        *({"_step": n, "global_step": 100 * n, "train/loss": 1.0 / n} for n in (1, 2)),
        {"_step": 3, "eval/l1": 0.5},
        {"_step": 4, "global_step": 300, "train/loss": 0.1},
    )
    expected = {"train/loss": [(100, 1.0), (200, 0.5), (300, 0.1)], "eval/l1": [(200, 0.5)], "warm": [(100, 1.0)]}
    assert points(wandb_history().read(tmp_path)) == expected


def test_a_step_that_train_and_eval_rows_share_is_the_step(tmp_path):
    train = ({"_step": 2 * n, "train/global_step": 50 * n, "train/loss": 1.0 / n} for n in (1, 2))
    evals = ({"_step": 2 * n + 1, "train/global_step": 50 * n, "eval/loss": 2.0 / n} for n in (1, 2))
    history(tmp_path, *(row for pair in zip(train, evals, strict=True) for row in pair))
    expected = {"train/loss": [(50, 1.0), (100, 0.5)], "eval/loss": [(50, 2.0), (100, 1.0)]}
    assert points(wandb_history().read(tmp_path)) == expected
    tailed, _ = wandb_history().tail(tmp_path, None)
    assert {(p.name, p.step) for p in tailed} == {(name, step) for name in expected for step in (50, 100)}


@pytest.mark.parametrize(
    "steps",
    [[1, 2, 1], [5, 5, 5], [1.5, 2.5, 3.5], [1, float("nan"), 3], [1, 2]],
    ids=["falls", "stands", "fraction", "nan", "fewer points than the loss"],
)
def test_a_column_that_is_no_step_leaves_wandbs_own(tmp_path, steps):
    rows = [{"_step": n, "train/loss": 1.0} for n in range(3)]
    for row, step in zip(rows, steps, strict=False):
        row["step"] = step
    history(tmp_path, *rows)
    reading = wandb_history().read(tmp_path)
    assert reading.series["train/loss"].steps.tolist() == [0, 1, 2]
    assert "step" in reading.series


def test_a_tail_goes_by_the_trainers_step_too(tmp_path):
    rows = [{"_step": n, "global_step": 100 * n, "train/loss": 1.0 / n} for n in range(1, 9)]
    rows.insert(4, {"_step": 4, "eval/l1": 0.5})
    expected = {
        (name, step)
        for name, pairs in points(wandb_history().read(history(tmp_path, *rows))).items()
        for step, _ in pairs
    }
    cursor, told = None, set()
    for end in range(1, len(rows) + 1):
        history(tmp_path, *rows[:end])
        new, cursor = wandb_history().tail(tmp_path, cursor)
        told |= {(p.name, p.step) for p in new}
    assert told == expected == {("train/loss", 100 * n) for n in range(1, 9)} | {("eval/l1", 400)}
