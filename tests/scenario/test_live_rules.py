"""Live rules on jobs that run: what they stop, warn of and follow up, on a stub launcher and a fake clock."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auto_loop.domain.decision import DecisionKind, rules_asked
from auto_loop.domain.job import FORK as FORK_
from auto_loop.domain.job import Outcome, StopCause
from auto_loop.domain.proposal import Verdict
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.stub import Act, StubLauncher
from tests.scenario.harness import PACK, Script, World
from tests.scenario.test_storm import MEMORY, NoReport

DEAD = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
after = 20
for = 2
reason = "mass is {value('mass')}"
"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Its project lies in memory where it can, and nobody draws a report."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield World(root=Path(folder))


def pack(world: World, text: str) -> None:
    (world.root / "pack.toml").write_text(PACK + text)


def lr_of(world: World, request: LaunchRequest) -> float:
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    return float(json.loads((world.root / words["--config_path"]).read_text())["lr"])


def append(world: World, request: LaunchRequest, rows: Sequence[dict[str, object]]) -> None:
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    folder = world.root / words["--output_dir"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def masses(*values: float, every: int = 10) -> list[dict[str, object]]:
    return [{"step": (at + 1) * every, "mass": value, "eval/loss": 1.0} for at, value in enumerate(values)]


def dying(world: World, *dead: float, seconds: float = 50.0) -> Script:
    """Configs with these learning rates lose their mass, the others keep it; all log at once what they will."""

    def script(request: LaunchRequest) -> Act:
        alive = lr_of(world, request) not in dead
        append(world, request, masses(*([0.5] * 5 if alive else [0.5, 0.0, 0.0, 0.0, 0.0])))
        return Act(duration_s=seconds)

    return script


def test_a_job_that_a_live_rule_stops_is_stopped_with_the_rule_and_its_reading(world: World) -> None:
    pack(world, DEAD)
    launcher = StubLauncher(dying(world, 0.1), world.clock)
    assert world.run(cfgs=world.configs(2), launcher=launcher, grace=5.0) == 0
    dead, alive = world.history().jobs
    assert (dead.outcome, alive.outcome) == (Outcome.STOPPED, Outcome.SUCCEEDED)
    (attempt,) = dead.attempts
    assert attempt.stop is not None
    assert attempt.stop.cause is StopCause.RULE
    assert attempt.stop.grace_s == 5.0
    assert attempt.stop.text == attempt.cause == "live rule 'dead' at step 30: mass is 0"
    assert attempt.failure is None
    assert [sent for _, sent in launcher.signals] == [Signal.TERM]
    assert world.history().summaries[dead.id].metrics["mass"].n == 5, "it keeps its history"
    assert attempt.stop.at - (attempt.started_at or 0.0) <= 2.0


FORK = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
after = 20
for = 2
then = "stop+fork"
change = { "lr@add" = 1.0 }
reason = "mass is {value('mass')}"
"""


def started(world: World) -> list[str]:
    return [str(event.detail["job"]) for event in world.watching.of("job started")]


def test_a_successor_starts_ahead_of_the_queue_while_its_parents_round_goes_on(world: World) -> None:
    pack(world, FORK)
    world.run(dying(world, 0.1), cfgs=world.configs(4), decide=True, rounds=2, concurrency=2)
    history = world.history()
    parent, child = history.jobs[0], next(job for job in history.jobs if job.origin.proposer == FORK_)
    assert (parent.outcome, child.outcome) == (Outcome.STOPPED, Outcome.SUCCEEDED)
    assert (child.round, child.origin.parent, child.origin.rule, child.ahead) == (2, parent.id, "dead", True)
    assert child.origin.reason == "mass is 0"
    assert child.config.data()["lr"] == pytest.approx(1.1)
    assert started(world)[:5] == ["c0", "c1", child.name, "c2", "c3"]
    stop = parent.attempts[0].stop
    assert stop is not None
    assert child.attempts[0].created_at >= stop.at
    assert child.attempts[0].slot == parent.attempts[0].slot, "its parent's place is the first that is free"
    (decided,) = [one for one in world.watching.of("round decided") if one.detail["round"] == 1]
    assert child.attempts[0].created_at < decided.at
    assert len([job for job in history.jobs if job.round == 2]) == 4, "it takes one of the round's places"
    assert not [job for job in history.jobs if job.origin.parent == parent.id and job is not child]


def test_what_a_fork_rests_on_is_kept_with_its_proposal(world: World) -> None:
    pack(world, FORK.replace("1.0", '{ expr = \'value("mass") + 2 * value("mass", 10)\' }'))
    world.run(dying(world, 0.1), cfgs=world.configs(2), decide=True, rounds=2)
    history = world.history()
    child = next(job for job in history.jobs if job.origin.proposer == FORK_)
    (row,) = [one for one in history.proposals if one.child == child.id]
    (decision,) = [one for one in history.decisions if one.id == row.decision]
    assert (row.verdict, row.round, row.proposal.proposer, row.proposal.rule) == (Verdict.ACCEPTED, 1, FORK_, "dead")
    assert row.edits == ("lr@add=1.0",)
    asked = rules_asked(decision.detail)
    assert (decision.kind, asked.rule) == (DecisionKind.FORK, "dead")
    assert asked.event == "live rule 'dead' fired at step 30 of c0"
    assert asked.parents[0].readings['value("mass")'] == 0.0
    assert asked.parents[0].readings['value("mass", 10)'] == 0.5
