"""A turn that comes to nothing at any of its commits: the loop, or the next supervisor, goes on as if it had not."""

import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.domain.errors import DiskFullError
from auto_loop.domain.event import Event
from auto_loop.domain.job import JobState, Outcome
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.stub import Act, StubLauncher
from tests.scenario.harness import PACK, World
from tests.scenario.test_storm import MEMORY, NoReport

OOM = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
RULES = """
[guardrails]
allow = ["lr"]

[[remedy]]
failure = "out of memory"
change = { "lr@mul" = 0.125 }
reason = "less"
"""


class KilledError(BaseException):
    """The supervisor dies without a word."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Its project lies in memory where it can: durable commits by the hundred would only measure the disk."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        made = World(root=Path(folder))
        (made.root / "pack.toml").write_text(PACK + RULES)
        yield made


class Moments:
    """Counts the commits, and at the `at`-th lets happen what `strike` does."""

    def __init__(self, moment: str, at: int, strike: Callable[[], None]) -> None:
        self._moment, self._at, self._strike = moment, at, strike
        self.seen = 0

    def __call__(self, moment: str) -> None:
        if moment == self._moment:
            self.seen += 1
            if self.seen == self._at:
                self._strike()


def full() -> None:
    raise DiskFullError("the disk is full")


def killed() -> None:
    raise KilledError


def act(world: World) -> Callable[[LaunchRequest], Act]:
    """The second config runs out of memory and is remedied; the third is killed once, the others train."""
    tries = Counter[str]()

    def script(request: LaunchRequest) -> Act:
        name = Path(next(word.split("=", 1)[1] for word in request.argv if word.startswith("--config_path="))).stem
        tries[name] += 1
        claim = {"pid": sum(tries.values()), "start_time": 1, "boot_id": "stub", "token": request.token}
        request.claim_file.parent.mkdir(parents=True, exist_ok=True)
        request.claim_file.write_text(json.dumps(claim))
        if name == "c1":
            return Act(duration_s=3.0, returncode=1, inner=OOM)
        if name == "c2" and tries[name] == 1:
            return Act(duration_s=4.0, returncode=-9)
        return Act(duration_s=10.0, on_end=world.logs)

    return script


def is_whole(world: World) -> None:
    """What an undisturbed loop leaves: everything once."""
    history = world.history()
    first = [job for job in history.jobs if job.round == 1]
    assert [job.outcome for job in first] == [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.SUCCEEDED]
    assert all(job.state is JobState.DONE for job in history.jobs)
    assert history.loops[0].ended_at is not None
    tries = Counter(job.name for job in history.jobs for one in job.attempts if one.outcome is not Outcome.CANCELLED)
    assert tries["c2"] == 2
    assert {name: count for name, count in tries.items() if count > 1} == {"c2": 2}
    assert set(history.summaries) == {job.id for job in history.jobs}
    rows = Counter((one.round, one.parent, str(dict(one.proposal.changes))) for one in history.proposals)
    assert max(rows.values()) == 1, "no proposal is recorded twice"
    assert {one.round for one in history.proposals} == {1, 2}, "the last round is decided too"
    launched = Counter(request.token for request in world.requests)
    assert max(launched.values()) == 1
    assert len(launched) == sum(tries.values())


OPTIONS = {"decide": True, "rounds": 2, "concurrency": 2}
COMMITS = 73  # more than such a loop has, however it is written down


@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_disk_that_is_full_at_any_commit_costs_nothing(world: World, at: int) -> None:
    world.fault = Moments("before commit", at, full)
    assert world.run(act(world), cfgs=world.configs(3), **OPTIONS) in (0, 1)
    is_whole(world)


@pytest.mark.parametrize("at", range(3, COMMITS))
def test_a_death_after_any_commit_is_made_up_for(world: World, at: int) -> None:
    launcher = StubLauncher(act(world), world.clock)
    world.fault = Moments("after commit", at, killed)
    try:
        world.run(cfgs=world.configs(3), launcher=launcher, **OPTIONS)
    except KilledError:
        world.fault = lambda moment: None
        if world.history().loops[0].ended_at is None:
            world.run(cfgs=(), resume=True, study="pack", launcher=launcher)
            world.launchers.pop()
    is_whole(world)


@pytest.mark.parametrize(
    ("presses", "on_term_s", "sent"),
    [
        (1, None, []),
        (2, 2.0, [Signal.TERM]),
        (2, None, [Signal.TERM, Signal.KILL]),
        (3, None, [Signal.KILL]),
    ],
)
def test_interrupts_count_while_the_disk_is_full(
    world: World, presses: int, on_term_s: float | None, sent: list[Signal]
) -> None:
    disk = {"full": False}

    def fault(moment: str) -> None:
        if disk["full"] and moment == "before commit":
            full()

    def react(event: Event) -> None:
        if event.kind == "progress":
            disk["full"] = True
        if event.kind == "said" and "DISK IS FULL" in str(event.detail["text"]):
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)

    world.watching.react = react
    world.fault = fault
    launcher = StubLauncher(world.trains(50.0, on_term_s=on_term_s), world.clock)
    assert world.run(cfgs=world.configs(2), concurrency=1, launcher=launcher, grace=5.0) == 130
    assert list(dict.fromkeys(signal for _, signal in launcher.signals)) == sent
    assert "Ended: interrupted while the disk is full" in world.said
    disk["full"] = False
    world.watching.react = lambda event: None
    assert world.run(cfgs=(), resume=True, study="pack", launcher=launcher) == 0
    assert [job.outcome for job in world.history().jobs] == [Outcome.SUCCEEDED] * 2


def test_sigterm_leaves_the_jobs_training_while_the_disk_is_full(world: World) -> None:
    def fault(moment: str) -> None:
        if world.watching.of("progress") and moment == "before commit":
            full()

    def react(event: Event) -> None:
        if event.kind == "said" and "DISK IS FULL" in str(event.detail["text"]):
            os.kill(os.getpid(), signal.SIGTERM)

    world.watching.react = react
    world.fault = fault
    launcher = StubLauncher(world.trains(50.0), world.clock)
    assert world.run(cfgs=world.configs(2), concurrency=1, launcher=launcher) == 130
    assert launcher.signals == []
    assert any("while the disk is full; the jobs train on" in text for text in world.said)


def test_a_clock_that_is_set_back_does_not_put_the_loop_to_sleep(world: World) -> None:
    jumped: list[float] = []

    def react(event: Event) -> None:
        if event.kind == "progress" and not jumped:
            world.clock.now -= 3600.0
            jumped.append(world.clock.now)

    world.watching.react = react
    world.run(world.trains(50.0), cfgs=world.configs(1))
    looks = [event.at for event in world.watching.of("progress")[1:] if event.at < jumped[0] + 10.0]
    assert len(looks) >= 5
