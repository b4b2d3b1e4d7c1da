"""A loop that forks, torn at every one of its commits: the successor is there once."""

import contextlib
from collections.abc import Iterator

import pytest

from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.job import FORK as FORK_
from auto_loop.domain.job import Outcome
from auto_loop.launch.base import Signal
from auto_loop.launch.stub import StubLauncher
from tests.scenario.harness import World
from tests.scenario.live_rules import FORK, claimed, dying, in_memory, pack
from tests.scenario.test_torn_turns import KilledError, Moments, full, killed


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with in_memory(monkeypatch) as world:
        yield world


def forked_once(world: World, launcher: StubLauncher) -> None:
    history = world.history()
    parent, other = history.jobs[:2]
    assert (parent.outcome, len(parent.attempts), other.outcome) == (Outcome.STOPPED, 1, Outcome.SUCCEEDED)
    (child,) = [job for job in history.jobs if job.origin.proposer == FORK_]
    assert (child.outcome, child.origin.parent) == (Outcome.SUCCEEDED, parent.id)
    assert [one.child for one in history.proposals if one.proposal.proposer == FORK_] == [child.id]
    assert [one.kind for one in history.decisions].count(DecisionKind.FORK) == 1
    assert not [job for job in history.jobs if job.origin.parent == parent.id and job is not child]
    assert Signal.TERM in {sent for _, sent in launcher.signals}
    assert history.loops[0].ended_at is not None
    tokens = [request.token for request in launcher.requests]
    assert len(tokens) == len(set(tokens)) == len(history.jobs)


COMMITS = 44  # more than such a loop has
FORKING = {"decide": True, "rounds": 2, "concurrency": 2}


@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_disk_that_is_full_at_any_commit_forks_once(world: World, at: int) -> None:
    pack(world, FORK)
    launcher = StubLauncher(claimed(world, dying(world, 0.1, seconds=8.0)), world.clock)
    world.fault = Moments("before commit", at, full)
    assert world.run(cfgs=world.configs(2), launcher=launcher, **FORKING) == 0
    forked_once(world, launcher)


@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_death_after_any_commit_forks_once(world: World, at: int) -> None:
    pack(world, FORK)
    launcher = StubLauncher(claimed(world, dying(world, 0.1, seconds=8.0)), world.clock)
    world.fault = Moments("after commit", at, killed)
    with contextlib.suppress(KilledError):
        world.run(cfgs=world.configs(2), launcher=launcher, **FORKING)
    world.fault = lambda moment: None
    if world.history().loops[0].ended_at is None:
        world.run(cfgs=(), resume=True, study="pack", launcher=launcher)
    forked_once(world, launcher)


def test_the_commits_of_a_forking_loop_are_all_tried(world: World) -> None:
    pack(world, FORK)
    world.fault = count = Moments("after commit", 0, killed)
    world.run(claimed(world, dying(world, 0.1, seconds=8.0)), cfgs=world.configs(2), **FORKING)
    assert 8 < count.seen < COMMITS
