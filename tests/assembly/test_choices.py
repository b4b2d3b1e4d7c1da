"""Which GPUs a call gets, on a machine of the fake NVML."""

from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.assembly.choices import choose_slots, planned_slots
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.slot import Device, Gpu
from auto_loop.workspace.layout import Layout
from tests.launch.make import gpu

LEFT = (gpu(1), gpu(2))  # of three; number 0 fell off the bus
RESUMED = AutorunCall(device="cuda", resume=True)


def around(tmp_path: Path, gpus: tuple[Gpu, ...] = LEFT, **env: str) -> Surroundings:
    return replace(Surroundings.here(), layout=Layout(tmp_path), env=env, probe_gpus=lambda: gpus, cores=4)


def test_a_loop_whose_gpu_is_lost_goes_on_with_the_others(tmp_path: Path) -> None:
    """Refused, it could never be gone on with: its flags are those that it was started with."""
    found = choose_slots(replace(RESUMED, gpus="0,1,2", concurrency=3), around(tmp_path))
    assert [[one.uuid for one in slot.gpus] for slot in found.value] == [[gpu(1).uuid], [gpu(2).uuid]]
    assert found.note == "--gpus 0,1,2: only 1,2 answers: the loop goes on with that"
    assert choose_slots(replace(RESUMED, gpus="1,2"), around(tmp_path)).note == ""


def test_a_loop_none_of_whose_gpus_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="there is no GPU 0"):
        choose_slots(replace(RESUMED, gpus="0"), around(tmp_path))
    with pytest.raises(RefusedError, match="2 GPUs a job, but only 1"):
        choose_slots(replace(RESUMED, gpus="0,1", gpus_per_job=2), around(tmp_path))


def test_a_new_loop_gets_all_that_it_asks_for_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="there is no GPU 0"):
        choose_slots(AutorunCall(gpus="0,1"), around(tmp_path))


def test_gpus_that_are_hidden_are_the_reason_for_the_cpu(tmp_path: Path) -> None:
    found = choose_slots(AutorunCall(), around(tmp_path, CUDA_VISIBLE_DEVICES="-1"))
    assert (found.value[0].device, found.why) == (Device.CPU, "CUDA_VISIBLE_DEVICES=-1 hides every GPU")


@pytest.mark.parametrize("asked", [",", "", None])
def test_a_plan_is_shown_whatever_the_gpus_are_called(asked: str | None) -> None:
    assert len(planned_slots(AutorunCall(gpus=asked)).value) == 1
