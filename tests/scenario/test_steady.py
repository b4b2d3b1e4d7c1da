"""Loops without rounds: a freed slot gets the best waiting proposal at once."""

import json
from pathlib import Path

import pytest

from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.job import Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(root=tmp_path)


def configs(world: World, *rates: float) -> tuple[str, ...]:
    """Configs of these learning rates."""
    for number, rate in enumerate(rates):
        (world.root / f"c{number}.json").write_text(json.dumps({"lr": rate}))
    return tuple(f"c{number}.json" for number in range(len(rates)))


def test_a_slow_job_holds_nobody_up(world: World) -> None:
    lasts = {"c0": 100.0}

    def script(request: LaunchRequest) -> Act:
        name = Path(next(word.split("=", 1)[1] for word in request.argv if word.startswith("--config_path="))).stem
        return Act(duration_s=lasts.get(name, 10.0), on_end=world.logs)

    code = world.run(script, cfgs=configs(world, 0.1, 0.7), decide=True, steady=True, rounds=3, concurrency=2)
    history = world.history()
    assert code == 0
    assert all(job.outcome is Outcome.SUCCEEDED for job in history.jobs)
    assert sorted(job.round for job in history.jobs) == [1, 1, 2, 2, 3, 3]
    slow = history.jobs[0].attempts[-1].ended_at
    assert slow is not None
    ended = [job.attempts[-1].ended_at or 0.0 for job in history.jobs[1:]]
    assert max(ended) < slow, "all the others were done while the slow one trained"
    assert {one.kind for one in history.decisions} == {DecisionKind.JOB}
    assert len(history.decisions) == len(history.jobs)
    assert not [one for one in history.proposals if one.verdict is Verdict.WAITING]
    assert "Ended: all 3 rounds are done" in world.said
