"""A pack held against old runs on disk: stops, hours saved, false stops, and what the like of its proposals came to."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.assembly.pack_backtest import Backtest, Followed, Verdict, backtest
from auto_loop.assembly.pack_backtest_text import backtest_json, backtest_text
from auto_loop.assembly.pack_runs import FoundRuns, Sought, Timed, old_runs
from auto_loop.domain.errors import MisuseError, RefusedError
from auto_loop.rules.pack import parse
from tests.assembly.old_runs import PACK, mirrored, plain
from tests.ledger.make import HANDLE, ending, new_attempt, new_job, open_study

MINE = parse(PACK)


def found_in(*folders: Path, root: Path) -> FoundRuns:
    return old_runs(Sought(folders=folders, limit=100, root=root), MINE)


def held(*folders: Path, root: Path) -> Backtest:
    return backtest(MINE, found_in(*folders, root=root).runs)


def followed(done: Backtest, run: str) -> Followed:
    return next(one for one in done.followed if one.run == run)


def test_a_stop_saves_the_time_after_it_by_the_logs_timestamps(tmp_path: Path) -> None:
    mirrored(tmp_path / "runs" / "a", [1.0] * 10, second_a_step=36.0)
    (one,) = held(tmp_path / "runs", root=tmp_path).replayed
    assert one.stopped is not None
    assert one.stopped.at == 30  # readings at 20 and 30: the second one in a row
    assert one.saved is not None
    assert one.saved.seconds == pytest.approx(70 * 36)
    assert one.saved.gpu_hours == pytest.approx(0.7)
    assert (one.saved.gpus_assumed, one.run.timed) == (True, Timed.TIMESTAMPS)


def test_without_timestamps_the_files_tell_the_time(tmp_path: Path) -> None:
    run = plain(tmp_path / "runs" / "a", [1.0] * 10, config={"lr": 0.1})
    os.utime(run / "config.json", (1000, 1000))
    os.utime(run / "metrics.jsonl", (2000, 2000))
    (one,) = held(tmp_path / "runs", root=tmp_path).replayed
    assert one.saved is not None
    assert (one.run.timed, one.saved.seconds) == (Timed.FILES, pytest.approx(700))


def test_a_time_that_nothing_tells_is_said_not_to_be_known(tmp_path: Path) -> None:
    run = plain(tmp_path / "runs" / "a", [1.0] * 10)
    os.utime(run / "metrics.jsonl", (2000, 2000))
    done = held(tmp_path / "runs", root=tmp_path)
    assert done.replayed[0].saved is None
    said = backtest_text(done, FoundRuns(runs=()), ["runs"])
    assert "not known" in said
    assert "known by nothing (1 run)" in said


def test_a_run_that_came_out_well_and_would_have_been_stopped_is_named(tmp_path: Path) -> None:
    for at, name in enumerate(["best", "second", "third"]):
        losses = [1.0, 1.0, 1.0, 0.1] if name == "best" else [0.1] * 4
        mirrored(tmp_path / "runs" / name, losses, evaluated=0.1 * (at + 1))
    done = held(tmp_path / "runs", root=tmp_path)
    (one,) = done.false_stops
    assert (one.run, one.rule, one.at, one.rank, one.of) == ("runs/best", "loss high", 30, 1, 3)
    assert "FALSE STOP  best: 'loss high' at step 30" in backtest_text(done, FoundRuns(runs=()), ["runs"])


def test_the_run_that_is_exactly_what_was_proposed_is_found(tmp_path: Path) -> None:
    base = {"lr": 0.1, "width": 8, "seed": 1}
    mirrored(tmp_path / "runs" / "a", [0.6] * 3, evaluated=0.5, config=base)
    mirrored(tmp_path / "runs" / "b", [0.1] * 3, evaluated=0.4, config={**base, "lr": 0.05, "seed": 7})
    mirrored(tmp_path / "runs" / "c", [0.1] * 3, evaluated=0.1, config={**base, "lr": 0.06})
    one = followed(held(tmp_path / "runs", root=tmp_path), "runs/a")
    assert (one.likes, one.differs, one.verdict) == (("runs/b",), (), Verdict.BETTER)
    assert (one.before, one.after) == (0.5, 0.4)


def test_runs_that_are_equally_like_it_count_together(tmp_path: Path) -> None:
    base = {"lr": 0.1, "seed": 1}
    mirrored(tmp_path / "runs" / "a", [0.6] * 3, evaluated=0.5, config=base)
    for seed, value in enumerate([0.3, 0.5, 0.72]):
        mirrored(tmp_path / "runs" / f"b{seed}", [0.1], evaluated=value, config={"lr": 0.05, "seed": seed})
    one = followed(held(tmp_path / "runs", root=tmp_path), "runs/a")
    assert len(one.likes) == 3
    assert (one.after, one.verdict) == (pytest.approx(1.52 / 3), Verdict.SAME)


def test_a_near_run_says_where_it_still_differs(tmp_path: Path) -> None:
    mirrored(tmp_path / "runs" / "a", [0.6] * 3, evaluated=0.5, config={"lr": 0.1, "width": 8})
    mirrored(tmp_path / "runs" / "b", [0.1] * 3, evaluated=0.9, config={"lr": 0.045, "width": 8})
    one = followed(held(tmp_path / "runs", root=tmp_path), "runs/a")
    assert (one.likes, one.differs, one.verdict) == (("runs/b",), ("lr 0.05 → 0.045",), Verdict.WORSE)


@pytest.mark.parametrize(
    "other",
    [{"lr": 0.2, "width": 8}, {"lr": 0.05, "width": 64}, {"learning_rate": 0.05, "hidden": 3}, {"lr": 0.1, "width": 8}],
    ids=["the other way", "something else changed more", "another family", "a repeat of the run"],
)
def test_a_run_no_nearer_than_the_run_itself_says_nothing(tmp_path: Path, other: dict[str, float]) -> None:
    mirrored(tmp_path / "runs" / "a", [0.6] * 3, evaluated=0.5, config={"lr": 0.1, "width": 8})
    mirrored(tmp_path / "runs" / "b", [0.1] * 3, evaluated=0.1, config=other)
    assert followed(held(tmp_path / "runs", root=tmp_path), "runs/a").likes == ()


def test_runs_without_config_or_value_are_still_judged(tmp_path: Path) -> None:
    mirrored(tmp_path / "runs" / "a", [0.6] * 3)
    plain(tmp_path / "runs" / "b", [0.6] * 3, config={"lr": "fast"})
    done = held(tmp_path / "runs", root=tmp_path)
    assert [[p.rule for p in one.firing.proposals] for one in done.replayed] == [["slower"], ["slower"]]
    assert {one.run for one in done.followed} == {"runs/b"}
    assert done.followed[0].verdict is Verdict.OPEN


def test_rules_that_no_run_could_be_judged_by_are_named(tmp_path: Path) -> None:
    mirrored(tmp_path / "runs" / "a", [0.6] * 3)
    done = held(tmp_path / "runs", root=tmp_path)
    assert done.never["wider"] == 'last("width")'
    assert "slower" not in done.never


def test_broken_runs_are_left_out_and_said(tmp_path: Path) -> None:
    mirrored(tmp_path / "runs" / "a", [0.6] * 3)
    broken = tmp_path / "runs" / "broken"
    broken.mkdir()
    (broken / "metrics.jsonl").write_bytes(b"\x00\xff{not json\n" * 9)
    torn = mirrored(tmp_path / "runs" / "torn", [0.6] * 3, config={"lr": 1})
    (torn / "config.json").write_text('{"lr": ')
    found = found_in(tmp_path / "runs", root=tmp_path)
    assert {one.name for one in found.runs} == {"runs/a", "runs/torn"}
    assert any(note.startswith("runs/broken: left out") for note in found.notes)


def test_no_runs_at_all_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    done = held(tmp_path / "runs", root=tmp_path)
    assert backtest_text(done, FoundRuns(runs=()), ["runs"]) == "No runs with readable metrics below runs."
    assert backtest_json(done, FoundRuns(runs=()))["runs"] == []


def test_folders_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError) as caught:
        found_in(tmp_path / "x", tmp_path / "y", root=tmp_path)
    assert len(caught.value.faults) == 2


def test_several_folders_are_taken_together_and_a_run_once(tmp_path: Path) -> None:
    for place in ("one", "two"):
        mirrored(tmp_path / place / "a", [0.6] * 3)
    found = found_in(tmp_path / "one", tmp_path / "two", tmp_path / "one" / "a", root=tmp_path)
    assert sorted(one.name for one in found.runs) == ["one/a", "two/a"]


def test_runs_inside_and_outside_the_project_are_shown_together(tmp_path: Path) -> None:
    inside = mirrored(tmp_path / "project" / "runs" / "a", [1.0] * 5)
    outside = mirrored(tmp_path / "elsewhere" / "b", [1.0] * 5)
    found = found_in(inside, outside, root=tmp_path / "project")
    said = backtest_text(backtest(MINE, found.runs), found, ["runs", "elsewhere"])
    assert "runs/a" in said
    assert "elsewhere/b" in said


def test_the_ledger_of_the_runs_project_knows_their_gpus_times_and_configs(tmp_path: Path) -> None:
    project = tmp_path / "project"
    run = plain(project / "outputs" / "train" / "a", [1.0] * 10)
    with open_study(project / "outputs" / "ledger.sqlite3") as ledger:
        job = ledger.add_job(new_job("a"))
        attempt = replace(new_attempt(job), output_dir="outputs/train/a", gpus=("GPU-0", "GPU-1"))
        started = ledger.start_attempt(attempt)
        ledger.mark_running(started, HANDLE, 1000.0)
        ledger.finish_attempt(started, ending(at=2000.0))
    (one,) = held(run.parent, root=tmp_path).replayed
    assert (one.run.timed, one.run.gpus, one.run.summary.log_tail) == (Timed.LEDGER, 2, "step 500\n")
    assert one.run.summary.config == new_job("a").config
    assert one.saved is not None
    assert one.saved.seconds == pytest.approx(700)
    assert one.saved.gpu_hours == pytest.approx(2 * 700 / 3600)
    assert not one.saved.gpus_assumed


def test_a_ledger_nearby_that_is_none_is_said_and_one_that_was_named_is_refused(tmp_path: Path) -> None:
    mirrored(tmp_path / "outputs" / "a", [0.6] * 3)
    file = tmp_path / "outputs" / "ledger.sqlite3"
    file.write_bytes(b"no database at all, and longer than a header of one" * 40)
    found = found_in(tmp_path / "outputs", root=tmp_path)
    assert [one.name for one in found.runs] == ["outputs/a"]
    assert any("outputs/ledger.sqlite3: not read" in note for note in found.notes)
    with pytest.raises(RefusedError):
        old_runs(
            Sought(folders=(tmp_path / "outputs",), limit=9, root=tmp_path, ledger=tmp_path / "none.sqlite3"), MINE
        )
