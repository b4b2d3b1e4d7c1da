"""Whole loops on GPUs that are in other hands, used by strangers, or lost: left alone, drained, never a CPU instead."""

from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import JobState
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.gpu_leases import Owner, lease_gpus
from auto_loop.launch.gpu_survey import Compute, Look
from auto_loop.launch.stub import Act
from auto_loop.ledger.ledger import Ledger
from tests.scenario.harness import GPUS, World


@pytest.fixture
def gpu_world(tmp_path: Path) -> World:
    return World(root=tmp_path, gpus=GPUS[:2])


def test_a_gpu_in_other_hands_is_left_alone_until_it_is_free(gpu_world: World) -> None:
    world = gpu_world
    other = Owner(study="theirs", ledger="/elsewhere", pid=1, since=0.0)
    leases = lease_gpus(world.root / "leases", GPUS[:1], other)
    assert isinstance(leases, tuple)
    freed: list[float] = []

    def react(event: Event) -> None:
        if event.kind == "job ended" and not freed:
            freed.append(world.clock.now)
            for _, lease in leases:
                lease.close()

    world.watching.react = react
    world.run(cfgs=world.configs(4))
    used = [request.env["CUDA_VISIBLE_DEVICES"] for request in world.requests]
    assert used[0] == "1"
    assert "0" in used[1:]
    blocked = world.watching.of("slot blocked")
    assert "theirs" in str(blocked[0].detail["cause"])


def test_a_stranger_whose_memory_grows_is_one_event_and_not_one_a_second(gpu_world: World) -> None:
    world = gpu_world

    def react(event: Event) -> None:
        if event.kind == "progress":
            memory = int(world.clock.now - 1.7e9) << 30
            stranger = Compute(pid=7, program="blender", user="bob", memory=memory, ours=False)
            world.survey.looks[GPUS[0].uuid] = Look(processes=(stranger,))

    world.watching.react = react
    world.run(world.trains(30.0), cfgs=world.configs(4))
    blocked = [event for event in world.watching.of("slot blocked") if "bob" in str(event.detail["cause"])]
    assert len(blocked) == 1


def test_with_allow_busy_a_gpu_in_other_hands_is_used(gpu_world: World) -> None:
    world = gpu_world
    leases = lease_gpus(world.root / "leases", GPUS[:1], Owner(study="x", ledger="y", pid=1, since=0.0))
    assert isinstance(leases, tuple)
    world.run(cfgs=world.configs(2), allow_busy=True)
    assert {request.env["CUDA_VISIBLE_DEVICES"] for request in world.requests} == {"0", "1"}
    for _, lease in leases:
        lease.close()


def test_a_gpu_that_falls_off_the_bus_drains_its_slot_and_never_becomes_a_cpu(gpu_world: World) -> None:
    world = gpu_world

    def react(event: Event) -> None:
        if event.kind == "job started":
            world.survey.looks["GPU-0000"] = Look(lost="GPU is lost")

    world.watching.react = react
    assert world.run(cfgs=world.configs(5)) == 0
    used = [request.env["CUDA_VISIBLE_DEVICES"] for request in world.requests]
    assert used == ["0", "1", *["GPU-0001"] * 3], "CUDA may count anew: what is left is named by UUID"


def test_a_lost_gpu_is_known_as_lost_while_nothing_waits_for_it(gpu_world: World) -> None:
    """Once the queue is empty nobody asks NVML about it any more, and that is when people ask why it is idle."""
    world = gpu_world
    causes: list[str] = []

    def seen(event: Event) -> None:
        if event.kind == "job started":
            world.survey.looks["GPU-0000"] = Look(lost="GPU is lost")
        with Ledger.open(world.root / "outputs" / "ledger.sqlite3", world.clock) as ledger:
            causes.extend(one.cause for one in ledger.reading.slots(event.loop) if one.index == 0)

    world.watching.react = seen
    assert world.run(cfgs=world.configs(5)) == 0
    assert "GPU 0 does not answer: GPU is lost" in causes
    assert causes[-1] == "GPU 0 does not answer: GPU is lost"


def test_a_job_that_dies_with_its_gpu_is_tried_again_on_another(gpu_world: World) -> None:
    world = gpu_world

    def script(request: LaunchRequest) -> Act:
        if request.env["CUDA_VISIBLE_DEVICES"] == "0":
            return Act(returncode=1, inner="RuntimeError: whatever", on_end=lose)
        return Act(duration_s=10.0, on_end=world.logs)

    def lose(request: LaunchRequest) -> None:
        world.survey.looks["GPU-0000"] = Look(lost="GPU is lost")

    assert world.run(script, cfgs=world.configs(2)) == 0
    (job, _) = world.history().jobs
    assert [one.failure for one in job.attempts] == [Failure.GPU_LOST, None]


def test_when_every_gpu_is_lost_the_loop_is_left_and_says_so(gpu_world: World) -> None:
    world = gpu_world
    world.watching.react = lambda event: world.survey.looks.update(
        {gpu.uuid: Look(lost="GPU is lost") for gpu in GPUS if event.kind == "job started"}
    )
    assert world.run(cfgs=world.configs(5)) == 130
    assert any("no GPU is left" in text for text in world.said)
    assert [job.state for job in world.history().jobs].count(JobState.QUEUED) == 3


def test_a_loop_made_for_gpus_is_never_resumed_on_the_cpu(gpu_world: World) -> None:
    world = gpu_world
    world.survey.looks.update({gpu.uuid: Look(lost="gone") for gpu in GPUS})
    assert world.run(cfgs=world.configs(1)) == 130
    world.gpus = ()
    with pytest.raises(RefusedError, match="no GPU"):
        world.run(cfgs=(), resume=True, study="pack")
