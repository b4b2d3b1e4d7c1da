"""What only a real GPU shows: who computes on it, that its memory comes back, and that a job sees its own one alone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit
from auto_loop.domain.slot import Blocked, Slot
from auto_loop.launch.base import Signal
from auto_loop.launch.environment import slot_env
from auto_loop.launch.gate import Gate, Pass
from auto_loop.launch.gpu_leases import Owner
from auto_loop.launch.gpu_survey import Survey, judge
from auto_loop.launch.gpus import make_slots, probe
from auto_loop.launch.local import LocalLauncher
from tests.launch.make import request

GPUS = probe()
PATIENCE_S = 120.0  # torch and a CUDA context take their time on a cold machine
TAKES_A_GIB = """
import sys, torch
held = torch.zeros(1 << 28, device="cuda")
torch.cuda.synchronize()
print("there", flush=True)
sys.stdin.readline()
"""

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPUS, reason="NVML shows no GPU on this machine")]


@pytest.fixture(autouse=True)
def needs_torch() -> None:
    pytest.importorskip("torch")


@pytest.fixture
def survey() -> Iterator[Survey]:
    made = Survey()
    yield made
    made.close()


@pytest.fixture
def slot(survey: Survey) -> Slot:
    """A slot on the first GPU that nobody uses."""
    idle = [gpu for gpu in GPUS if judge(gpu, survey.look(gpu.uuid), held=False) is None]
    if not idle:
        pytest.skip("every GPU of this machine is in use")
    return make_slots(idle[:1])[0]


@contextmanager
def torch_process(slot: Slot) -> Iterator[int]:
    """A process that holds a GiB of the slot's GPU and has no token of ours."""
    env = {name: value for name, value in os.environ.items() if name != "AUTO_LOOP_TOKEN"} | slot_env(slot, 1)
    command = [sys.executable, "-c", TAKES_A_GIB]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "there\n"
        yield started.pid
        started.communicate("\n")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.05)


def gate(folder: Path, survey: Survey, study: str = "mine") -> Gate:
    owner = Owner(study=study, ledger="/l", pid=os.getpid(), since=0.0)
    return Gate(folder=folder, owner=owner, allow_busy=False, survey=survey)


def stopped(found: Pass | Blocked) -> Blocked:
    if isinstance(found, Pass):
        found.close()
    assert isinstance(found, Blocked)
    return found


@pytest.mark.parametrize("match", [None, False])
def test_a_stranger_is_seen_and_its_memory_comes_back(slot: Slot, match: bool | None) -> None:
    """By its pid where that can be matched, and by memory alone as in a container."""
    looks = Survey(pids_match=match)
    uuid = slot.gpus[0].uuid
    with torch_process(slot) as pid:
        look = looks.look(uuid)
        blocked = judge(slot.gpus[0], look, held=False)
        assert blocked is not None
        assert not blocked.lost
        if look.processes is not None:
            assert pid in [one.pid for one in look.processes]
            assert not any(one.ours for one in look.processes if one.pid == pid)
        else:
            assert "in use" in blocked.cause
    until(lambda: judge(slot.gpus[0], looks.look(uuid), held=False) is None)
    looks.close()


def test_the_gate_opens_when_the_stranger_has_gone(slot: Slot, survey: Survey, tmp_path: Path) -> None:
    door = gate(tmp_path, survey)
    with torch_process(slot):
        assert "GPU" in stopped(door.admit([slot], frozenset())[slot.index]).cause
    until(lambda: not door.check([slot], frozenset()))

    def opens() -> bool:
        found = door.admit([slot], frozenset())[slot.index]
        if isinstance(found, Pass):
            found.close()
        return isinstance(found, Pass)

    until(opens)


INSIDE = """
import json, sys, time, torch
held = torch.zeros(1 << 28, device="cuda")
torch.cuda.synchronize()
one = torch.cuda.get_device_properties(0)
found = {"count": torch.cuda.device_count(), "name": one.name, "uuid": str(getattr(one, "uuid", ""))}
open(sys.argv[1] + ".aside", "w").write(json.dumps(found))
__import__("os").rename(sys.argv[1] + ".aside", sys.argv[1])
time.sleep(600)
"""


def test_a_job_sees_its_gpu_alone_and_holds_it_to_its_end(slot: Slot, survey: Survey, tmp_path: Path) -> None:
    mine, other = gate(tmp_path / "locks", survey), gate(tmp_path / "locks", survey, "other")
    passed = mine.admit([slot], frozenset())[slot.index]
    assert isinstance(passed, Pass)
    told = tmp_path / "inside.json"
    env = {name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH", "PYTHONPATH") if name in os.environ}
    job = request(tmp_path, (sys.executable, "-c", INSIDE, str(told)), **env, **slot_env(slot, 1))
    launcher = LocalLauncher()
    handle = launcher.launch(replace(job, held=passed.held))
    try:
        until(lambda: told.exists() or isinstance(launcher.poll(handle, job.exit_file), Exit))
        found = json.loads(told.read_text())
        assert found["count"] == 1
        assert found["name"] == slot.gpus[0].name
        if found["uuid"] and not slot.gpus[0].is_mig:  # torch from 2.5 on
            assert found["uuid"].removeprefix("GPU-") == slot.gpus[0].uuid.removeprefix("GPU-")
        assert "held by study mine" in stopped(other.admit([slot], frozenset())[slot.index]).cause
        ours = frozenset({slot.gpus[0].uuid})
        beside = mine.admit([slot], ours)[slot.index]
        assert isinstance(beside, Pass)
        beside.close()
    finally:
        launcher.signal(handle, Signal.KILL)
        until(lambda: isinstance(launcher.poll(handle, job.exit_file), Exit))
        launcher.close()
    until(lambda: not other.check([slot], frozenset()))
    after = other.admit([slot], frozenset())[slot.index]
    assert isinstance(after, Pass), after
    after.close()
