"""The loop's eye on a run: what is new while it goes on, all of it when it has ended."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId
from auto_loop.loop.parts import Latest
from auto_loop.loop.watch import Watch
from auto_loop.rules.pack import parse
from auto_loop.workspace.files import tail_text

PACK = parse('[objective]\nmetric = "eval/loss"\n[metrics."eval/loss"]\naliases = ["loss"]\n')
MIRROR = "wandb/offline-run-20260101_000000-abc/files/wandb-history.jsonl"


def job() -> Job:
    return Job(
        id=JobId(1), study="s", loop=1, round=1, position=1, name="j", cfg_file="j.json", config=Config.of({}),
        output_dir="out/j",
    )  # fmt: skip


def attempt(root: Path) -> Attempt:
    return Attempt(
        id=AttemptId(1), job=JobId(1), number=1, slot=0, gpus=(), token="t", command=("true",), output_dir="out/j",
        log_file=str(root / "j.log"), claim_file="", exit_file="", created_at=0.0,
    )  # fmt: skip


def append(file: Path, *rows: dict[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("place", ["out/j/metrics.jsonl", f"out/j/{MIRROR}", f"out/j.wandb/{MIRROR}"])
def test_new_points_are_seen_as_they_come_wherever_the_run_keeps_them(tmp_path: Path, place: str) -> None:
    watch, step = Watch(tmp_path, PACK, tail_text), "_step" if "wandb" in place else "step"
    assert watch.latest("out/j") == Latest()
    append(tmp_path / place, {step: 10, "loss": 2.0})
    assert watch.latest("out/j") == Latest(step=10, values={"eval/loss": 2.0}, points=1)
    append(tmp_path / place, {step: 20, "loss": 1.0})
    assert watch.latest("out/j") == Latest(step=20, values={"eval/loss": 1.0}, points=2)
    summary = watch.summary(job(), attempt(tmp_path))
    assert summary.metrics["eval/loss"].first == 2.0
    assert summary.metrics["eval/loss"].best == 1.0
    assert list(summary.series["eval/loss"].steps) == [10, 20]


def test_a_run_that_left_nothing_gives_an_empty_summary_and_the_files_looked_for(tmp_path: Path) -> None:
    watch = Watch(tmp_path, PACK, tail_text)
    assert watch.summary(job(), attempt(tmp_path)).metrics == {}
    assert any("metrics.jsonl" in name for name in watch.looked_for("out/j"))


def test_the_url_of_an_online_run_is_found_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "j.log").write_text("wandb: 🚀 View run at https://wandb.ai/me/p/runs/abc\n")
    summary = Watch(tmp_path, PACK, tail_text).summary(job(), attempt(tmp_path))
    assert summary.wandb_url == "https://wandb.ai/me/p/runs/abc"


LIVE = parse(
    '[[stop]]\nname = "low"\nwhen = \'value("mass") < 0.5\'\nafter = 20\nfor = 2\nreason = "{value(\'mass\')}"\n'
    '[[stop]]\nname = "hush"\nwhen = \'value("mass") < 0.9\'\nthen = "warn"\nreason = "r"\n'
)


def test_live_rules_see_a_run_as_it_comes_and_a_second_watch_the_same(tmp_path: Path) -> None:
    watch, file = Watch(tmp_path, LIVE, tail_text), tmp_path / "out/j/metrics.jsonl"
    assert watch.look(job(), attempt(tmp_path)).verdict is None
    append(file, {"step": 10, "mass": 0.0}, {"step": 20, "mass": 0.1})
    first = watch.look(job(), attempt(tmp_path))
    assert (first.verdict, first.latest.step) == (None, 20)
    assert [one.stop.name for one in first.warnings] == ["hush"]
    assert watch.latest("out/j").points == 2, "whoever asks, no point is lost to the rules"
    append(file, {"step": 30, "mass": 0.2})
    watch.latest("out/j")
    append(file, {"step": 40, "mass": 9.0})
    looks = [one.look(job(), attempt(tmp_path)) for one in (watch, Watch(tmp_path, LIVE, tail_text))]
    for look in looks:
        assert look.verdict is not None
        assert look.verdict.text == "live rule 'low' at step 30: 0.2"
    assert [one.at for one in looks[1].warnings] == [10]


def test_a_second_attempt_in_a_folder_of_its_own_begins_anew(tmp_path: Path) -> None:
    watch = Watch(tmp_path, LIVE, tail_text)
    append(tmp_path / "out/j/metrics.jsonl", {"step": 20, "mass": 0.0}, {"step": 30, "mass": 0.0})
    assert watch.look(job(), attempt(tmp_path)).verdict is not None
    append(tmp_path / "out/j.a2/metrics.jsonl", {"step": 20, "mass": 0.0})
    second = replace(attempt(tmp_path), id=AttemptId(2), number=2, output_dir="out/j.a2")
    assert watch.look(job(), second).verdict is None


def test_a_long_history_is_judged_in_slices_and_comes_to_its_end(tmp_path: Path) -> None:
    watch = Watch(tmp_path, LIVE, tail_text)
    rows = [{"step": step, "mass": 1.0 if step < 2000 else 0.0} for step in range(1, 2002)]
    append(tmp_path / "out/j/metrics.jsonl", *rows)
    looks = [watch.look(job(), attempt(tmp_path)) for _ in range(6)]
    assert looks[0].verdict is None
    assert looks[-1].verdict is not None
    assert looks[-1].verdict.at == 2001
    assert looks[-1].latest.points == 2001


def test_a_value_that_came_only_at_the_end_is_no_reading(tmp_path: Path) -> None:
    watch = Watch(tmp_path, LIVE, tail_text)
    summary = tmp_path / "out/j/wandb/offline-run-20260101_000000-abc/files/wandb-summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"mass": 0.0, "_step": 500}))
    look = watch.look(job(), attempt(tmp_path))
    assert look.warnings == ()


def test_a_second_attempt_in_the_folder_of_the_first_is_judged_by_its_own_log(tmp_path: Path) -> None:
    asks = parse('[[stop]]\nname = "s"\nwhen = \'log_matches("diverged")\'\nreason = "r"\n')
    watch = Watch(tmp_path, asks, tail_text)
    (tmp_path / "j.log").write_text("all is well\n")
    (tmp_path / "j.a2.log").write_text("it diverged\n")
    append(tmp_path / "out/j/metrics.jsonl", {"step": 20, "mass": 0.0})
    assert watch.look(job(), attempt(tmp_path)).verdict is None
    second = replace(attempt(tmp_path), id=AttemptId(2), number=2, log_file=str(tmp_path / "j.a2.log"))
    assert watch.look(job(), second).verdict is not None
