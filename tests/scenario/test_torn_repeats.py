"""A loop with repeats, remedies and a confirmation dies at any of its commits: the next supervisor ends it the same."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.assembly.replay_ground import gathered
from auto_loop.assembly.replaying import replay
from auto_loop.domain.decision import DecisionKind, effect_seen
from auto_loop.domain.effect import Finding
from auto_loop.domain.job import CONFIRMATION, REMEDY, REPEAT, JobState, Outcome
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act, StubLauncher
from auto_loop.ledger.reading import Reading
from tests.scenario.harness import World
from tests.scenario.test_repeats import PACK, REMEDIED, Small
from tests.scenario.test_storm import MEMORY, NoReport
from tests.scenario.test_torn_turns import KilledError, Moments, killed

OPTIONS = {"decide": True, "rounds": 2, "repeats": 3, "concurrency": 2, "round_size": 1}
COMMITS = 75  # more than such a loop has, however it is written down


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Its project lies in memory where it can, and nobody draws a report."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        made = World(root=Path(folder))
        (made.root / "pack.toml").write_text(PACK + REMEDIED)
        (made.root / "base.json").write_text(json.dumps({"lr": 0.8, "seed": 7, "batch": 8}))
        yield made


class Claiming(Small):
    """Leaves a claim, as a real launcher does, so that another supervisor finds the process again."""

    def __call__(self, request: LaunchRequest) -> Act:
        request.claim_file.parent.mkdir(parents=True, exist_ok=True)
        pid = int(request.token.removeprefix("token"))
        claim = {"pid": pid, "start_time": 1, "boot_id": "stub", "token": request.token}
        request.claim_file.write_text(json.dumps(claim))
        return super().__call__(request)


def is_whole(world: World) -> None:
    history = world.history()
    assert history.loops[0].ended_at is not None
    assert all(job.state is JobState.DONE for job in history.jobs)
    kinds = Counter(one.kind for one in history.decisions)
    assert kinds == {DecisionKind.ROUND: 2, DecisionKind.SCREENING: 1, DecisionKind.CONFIRMATION: 1}
    (confirmed,) = [one for one in history.decisions if one.kind is DecisionKind.CONFIRMATION]
    seen = effect_seen(confirmed.detail)
    assert (seen.effect.n_candidate, seen.effect.n_base, seen.effect.finding) == (3, 3, Finding.BETTER)
    made_by = Counter((job.round, job.origin.proposer) for job in history.jobs)
    repeated = {(1, ""): 1, (1, REPEAT): 2, (1, REMEDY): 1, (2, "rules"): 1, (2, REPEAT): 2, (2, REMEDY): 1}
    assert made_by == {**repeated, (2, CONFIRMATION): 6}
    runs = Counter(job.config.text for job in history.jobs)
    assert max(runs.values()) == 1, "no config runs twice under one seed"
    for job in history.jobs:
        started = [one for one in job.attempts if one.outcome is not Outcome.CANCELLED]
        assert len(started) == 1
        assert json.loads((world.root / job.cfg_file).read_text()) == job.config.data()
    assert max(Counter(request.token for request in world.requests).values()) == 1
    with closing(Reading.open(world.root / "outputs" / "ledger.sqlite3")) as reading:
        found = replay(gathered(reading, "pack"), world.root)
    assert found.differences == ()
    assert not found.loops[0].not_derived


@pytest.mark.parametrize(
    ("moment", "at"),
    [*(("after commit", at) for at in range(1, COMMITS)), *(("before commit", at) for at in range(1, COMMITS, 3))],
)
def test_a_death_at_any_commit_changes_nothing(world: World, moment: str, at: int) -> None:
    trainer = Claiming(world, short=frozenset({8}))
    launcher = StubLauncher(trainer, world.clock)
    moments = Moments(moment, at, killed)
    world.fault = moments
    try:
        world.run(launcher=launcher, cfgs=("base.json",), **OPTIONS)
        assert moments.seen < at, "it struck"
    except KilledError:
        world.fault = lambda moment: None
        world.launchers.pop()
        if (world.root / "outputs" / "ledger.sqlite3").exists() and begun(world):
            if world.history().loops[0].ended_at is None:
                world.run(launcher=launcher, resume=True, study="pack", cfgs=())
        else:
            world.run(launcher=launcher, cfgs=("base.json",), **OPTIONS)
    is_whole(world)


def begun(world: World) -> bool:
    with closing(Reading.open(world.root / "outputs" / "ledger.sqlite3")) as reading:
        return bool(reading.loops("pack"))
