"""Whole loops derived again from their ledgers, and ledgers in which one byte was changed."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.assembly.replay_ground import gathered
from auto_loop.assembly.replaying import Replayed, replay
from auto_loop.domain.config import Config
from auto_loop.domain.decision import rules_asked
from auto_loop.domain.event import Event
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from auto_loop.ledger.reading import Reading
from tests.scenario.harness import World
from tests.scenario.test_storm import NoReport

PACK = """
[objective]
metric = "eval/loss"
direction = "lower"

[guardrails.range]
"lr" = { min = 0.05, max = 0.3 }
"width" = { min = 1, max = 64 }

[guardrails.derive]
"batch" = "width * 4"

[[rule]]
name = "halve"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 0.5 }
reason = "loss ended at {last('eval/loss')}"
group = "lr"
priority = 20

[[rule]]
name = "far up"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 40.0 }
reason = "the other way"
group = "lr"
priority = 15

[[rule]]
name = "computed"
when = 'value("eval/loss", 20) > 0'
change = { "width@mul" = { expr = '2 + 0 * last("eval/loss")', predict = "eval/loss" } }
reason = "wider than {width}"
group = "width"
priority = 10

[[rule]]
name = "refused"
when = 'last("eval/loss") > 0'
change = { "nowhere@mul" = 2 }
reason = "there is no such place"
priority = 5

[[rule]]
name = "blind"
when = 'last("eval/none") > 0'
change = { "lr@mul" = 3 }
reason = "never judged"

[[law]]
metric = "eval/loss"
value = 'last("eval/loss") * next.lr / lr'

[[diagnosis]]
name = "steep"
when = 'last("eval/loss") > 0.1'
says = "the loss is still {last('eval/loss')}"
"""
FORK = """
[[stop]]
name = "slow"
when = 'value("eval/loss") > 0.1 and width < 9'
after = 20
then = "stop+fork"
change = { "lr@add" = { expr = '0.05 + 0 * value("eval/loss")', predict = "eval/loss" } }
reason = "loss is {value('eval/loss')}"

[[remedy]]
failure = "out of memory"
change = { "width@mul" = 0.5 }
"""
LEDGER = "outputs/ledger.sqlite3"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two configs and a pack of every kind of rule; nobody draws a report."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    made = World(root=tmp_path)
    (tmp_path / "pack.toml").write_text(PACK)
    for at in range(2):
        config = {"lr": 0.1 * (at + 1), "width": 8, "batch": 32, "seed": 3}
        (tmp_path / f"c{at}.json").write_text(json.dumps(config))
    return made


def trains(world: World) -> Callable[[LaunchRequest], Act]:
    """Each run's loss follows its learning rate and, a little, its seed."""

    def logs(request: LaunchRequest) -> None:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        config = json.loads((world.root / words["--config_path"]).read_text())
        folder = world.root / words["--output_dir"]
        folder.mkdir(parents=True)
        loss = config["lr"] + 0.001 * config["seed"]
        rows = [{"step": step, "eval/loss": loss + 1.0 / step} for step in (10, 20, 30)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return lambda request: Act(duration_s=10.0, on_end=logs)


def run(world: World, **options: object) -> None:
    usual = {"cfgs": ("c0.json", "c1.json"), "decide": True, "rounds": 3, "round_size": 3, "concurrency": 2}
    assert world.run(trains(world), **{**usual, **options}) == 0


def replayed(world: World, study: str = "pack") -> Replayed:
    with closing(Reading.open(world.root / LEDGER)) as reading:
        return replay(gathered(reading, study), world.root)


def change(world: World, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(world.root / LEDGER)) as db:
        assert db.execute(statement, values).rowcount == 1
        db.commit()


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_whole_loop_comes_out_again(world: World, repeats: int) -> None:
    run(world, repeats=repeats)
    jobs = world.history().jobs
    found = replayed(world)
    assert found.differences == ()
    (loop,) = found.loops
    assert (loop.given, loop.equal, loop.not_derived) == (2, len(jobs) - 2, {})
    assert loop.decisions == 3
    assert {row.verdict for row in world.history().proposals} >= {"accepted", "refused", "no place"}
    assert any("range" in note or "0.3" in note for job in jobs for note in job.origin.notes), "something was clamped"


def test_nothing_but_the_ledger_is_needed(world: World) -> None:
    """Packs are edited, output folders are cleaned up."""
    run(world)
    for file in [*world.root.rglob("*.json"), *world.root.rglob("metrics.jsonl"), world.root / "pack.toml"]:
        file.unlink()
    assert replayed(world).differences == ()
    (world.root / "pack.toml").write_text(PACK.replace("40.0", "30.0"))
    found = replayed(world)
    assert found.differences == ()
    assert sum(loop.equal for loop in found.loops) > 0


def stormy(world: World) -> None:
    """A loop whose first job is stopped by a live rule, and whose second runs out of memory."""

    def script(request: LaunchRequest) -> Act:
        act = trains(world)(request)
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        config = json.loads((world.root / words["--config_path"]).read_text())
        if config["lr"] == 0.1 and config["width"] == 8:
            assert act.on_end is not None
            act.on_end(request)
            return Act(duration_s=60.0)
        if config["lr"] == 0.2 and config["width"] == 8:
            return Act(duration_s=5.0, returncode=1, inner="OutOfMemoryError: CUDA out of memory")
        return act

    world.run(script, cfgs=("c0.json", "c1.json"), decide=True, rounds=3, concurrency=2, round_size=3)


def test_forks_and_remedies_come_out_again(world: World) -> None:
    (world.root / "pack.toml").write_text(PACK + FORK)
    stormy(world)
    proposers = {job.origin.proposer for job in world.history().jobs}
    assert {"live rule", "remedy", "rules"} <= proposers
    found = replayed(world)
    assert found.differences == ()
    assert all(not loop.not_derived for loop in found.loops)


def test_a_changed_byte_of_a_reading_is_named(world: World) -> None:
    run(world)
    first = world.history().decisions[0]
    key = 'last("eval/loss")'
    old = json.dumps(rules_asked(first.detail).parents[0].readings[key])
    new = old[:-1] + ("1" if old[-1] != "1" else "2")
    change(world, "UPDATE decision SET detail = replace(detail, ?, ?) WHERE id = ?", old, new, first.id)
    found = replayed(world).differences
    assert any(one.what == f"reading {key}" and one.decision == first.id for one in found)


def test_a_changed_byte_of_a_config_is_named(world: World) -> None:
    run(world)
    child = next(job for job in world.history().jobs if job.round == 2)
    change(
        world,
        "UPDATE config SET text = replace(text, '\"seed\": 3', '\"seed\": 4') "
        "WHERE fingerprint = (SELECT config FROM job WHERE id = ?)",
        child.id,
    )
    mine = [one for one in replayed(world).differences if one.job == child.id]
    assert [(one.place, one.kept, one.derived) for one in mine if one.what == "config"] == [("seed", 4, 3)]
    assert any("fingerprint" in one.what + str(one.derived) for one in mine)


def test_a_changed_byte_of_the_rulebook_is_named(world: World) -> None:
    run(world)
    change(world, "UPDATE rulebook SET text = replace(text, '\"lr@mul\\\" = 0.5', '\"lr@mul\\\" = 0.6')")
    found = replayed(world)
    assert found.differences[0].what.startswith("rulebook: ")
    assert any(one.what == "config" and one.place == "lr" for one in found.differences)


def test_a_file_that_was_changed_is_named(world: World) -> None:
    run(world)
    child = next(job for job in world.history().jobs if job.round == 2)
    file = world.root / child.cfg_file
    file.write_text(file.read_text().replace('"seed": 3', '"seed": 5'))
    (one,) = replayed(world).differences
    assert (one.what, one.place, one.kept, one.derived) == (f"config file {child.cfg_file}", "seed", 5, 3)
    file.write_text(json.dumps(child.config.data()))
    (one,) = replayed(world).differences
    assert one.kept == "the same values, written otherwise"


@pytest.mark.parametrize("column", ["edits", "reason", "evidence", "predictions", "reasons", "verdict"])
def test_a_changed_verdict_is_named(world: World, column: str) -> None:
    run(world)
    verdict = "no place" if column in ("reasons", "verdict") else "accepted"
    change_to = {"verdict": "refused", "evidence": "{}", "edits": "[]", "predictions": "{}", "reasons": '["why not"]'}
    where = f"id = (SELECT min(id) FROM proposal WHERE verdict = '{verdict}')"
    change(world, f"UPDATE proposal SET {column} = ? WHERE {where}", change_to.get(column, "another"))
    found = replayed(world)
    assert found.differences
    assert all(one.decision is not None for one in found.differences)


def test_what_a_person_gave_is_the_ground_and_not_derived(world: World) -> None:
    run(world, decide=False)
    found = replayed(world)
    assert found.differences == ()
    assert [(loop.given, loop.equal) for loop in found.loops] == [(2, 0)]


def test_a_study_can_be_derived_again_while_it_runs(world: World) -> None:
    seen: list[int] = []

    def look(event: Event) -> None:
        if event.kind in ("round decided", "job started"):
            found = replayed(world)
            assert found.differences == ()
            seen.append(sum(loop.equal for loop in found.loops))

    world.watching.react = look
    run(world)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == len(world.history().jobs) - 2


def test_what_the_trainer_refused_is_not_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_trainer: object, configs: Sequence[Config]) -> dict[int, str]:
        return {at: "width is too wide" for at, one in enumerate(configs) if one.data()["lr"] == 0.05}

    monkeypatch.setattr("auto_loop.assembly.running.refused_by", refused)
    run(world)
    asked = rules_asked(world.history().decisions[0].detail)
    assert asked.refused_by_trainer == ((1, "halve"),)
    monkeypatch.undo()
    assert replayed(world).differences == ()


def test_loops_of_one_study_are_told_apart(world: World) -> None:
    run(world)
    (world.root / "c2.json").write_text(json.dumps({"lr": 0.17, "width": 8, "batch": 32, "seed": 3}))
    run(world, cfgs=("c2.json",), rounds=2)
    found = replayed(world)
    assert found.differences == ()
    assert [loop.given for loop in found.loops] == [2, 1]
    assert all(loop.equal for loop in found.loops)
