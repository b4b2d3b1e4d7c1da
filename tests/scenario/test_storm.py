"""Planner, driver and gate in a storm of 10,000 random events: nothing is booked twice, and all comes to its end."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from auto_loop.assembly import running
from auto_loop.assembly.loops import unfinished_loops
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.job import JobState, Outcome
from tests.scenario.harness import GPUS
from tests.scenario.storm import RETRIES, STUDY, KilledError, Storm, StormWorld

JOBS = 60
MEMORY = "/dev/shm"


class NoReport:
    """In the report's place: drawing it is another process, and another test's."""

    def __init__(self, command: object, around: object) -> None: ...

    def __call__(self) -> None: ...

    def on_event(self, event: object) -> None: ...

    def finish(self) -> bool:
        return True


@pytest.fixture
def storm(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Storm]:
    """Its project lies in memory where it can: thousands of durable commits would only measure the disk."""
    monkeypatch.setattr(running, "Redraw", NoReport)
    most, seed = request.param
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        world = StormWorld(root=Path(folder), gpus=GPUS)
        world.storm = Storm(world, most, seed)
        yield world.storm
        world.storm.clear()


def weather(storm: Storm, gpus_per_job: int) -> int:
    """Supervisors, one after another, until the storm is over and no loop is unfinished; how many there were."""
    world = storm.world
    configs = world.configs(JOBS)
    usual = {"gpus_per_job": gpus_per_job, "retries": RETRIES, "start_timeout": 40.0, "grace": 5.0, "cfgs": configs}
    supervisors = 0
    while True:
        open_loops = unfinished_loops(world.ledger_file)
        if storm.over and not open_loops:
            return supervisors
        supervisors += 1
        assert supervisors < 600, "the loop never ends"
        storm.new_supervisor()
        with contextlib.suppress(KilledError, AutoLoopError, OSError):  # the next supervisor takes over
            world.run(launcher=storm, **({"resume": True, "study": STUDY} if open_loops else usual))
        world.launchers.clear()


@pytest.mark.parametrize(("storm", "gpus_per_job"), [((6000, 1), 1), ((4000, 2), 2)], indirect=["storm"])
def test_whatever_happens_nothing_is_booked_twice_and_everything_ends(storm: Storm, gpus_per_job: int) -> None:
    weather(storm, gpus_per_job)
    assert storm.breaches == []
    jobs = storm.world.history(STUDY).jobs
    assert all(job.state is JobState.DONE for job in jobs)
    attempts = [attempt for job in jobs for attempt in job.attempts]
    launched = [attempt for attempt in attempts if storm.was_launched(attempt.token)]
    assert len(launched) == storm.counts["launched"] == len({attempt.token for attempt in launched})
    for attempt in launched:
        if storm.truth(attempt.token) == 0 and attempt.stop is None:
            assert attempt.outcome is Outcome.SUCCEEDED, attempt
        elif storm.truth(attempt.token) != 0:
            assert attempt.outcome is not Outcome.SUCCEEDED, attempt
    assert not storm.living
    assert storm.over
