"""Whole loops derived again from their ledgers, and ledgers in which one byte was changed."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.assembly.replaying import Replayed, replay
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from auto_loop.ledger.reading import Reading
from tests.scenario.harness import World

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
LEDGER = "outputs/ledger.sqlite3"


@pytest.fixture
def world(tmp_path: Path) -> World:
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
        return replay(reading, study, world.root)


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
