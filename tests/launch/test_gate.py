import errno
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit
from auto_loop.domain.slot import Blocked, Gpu, Slot
from auto_loop.launch import gpus
from auto_loop.launch.base import Signal
from auto_loop.launch.gate import ASK_AGAIN_S, ASK_LOST_AGAIN_S, Gate, Pass
from auto_loop.launch.gpu_leases import Owner
from auto_loop.launch.gpu_survey import Survey
from auto_loop.launch.local import LocalLauncher
from tests.fakes import nvml
from tests.fakes.nvml import GIB, Board, Process
from tests.launch.make import CPU, gpu, request

ME = os.getpid()
FOUR = tuple(gpu(index) for index in range(4))
NONE: frozenset[str] = frozenset()
ASKED = "nvmlDeviceGetComputeRunningProcesses_v3"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def machine() -> Iterator[None]:
    nvml.reset()
    nvml.BOARDS[:] = [Board(f"0:0{one.index}", one.uuid) for one in FOUR]
    yield
    nvml.reset()


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Whatever a test was refused, nothing stays open for it."""
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


def gate(
    folder: Path, study: str = "mine", *, allow_busy: bool = False, ours: bool = False, match: bool = True
) -> Gate:
    survey = Survey("tests.fakes.nvml", pids_match=match, is_ours=lambda _: ours)
    owner = Owner(study=study, ledger="/l", pid=ME, since=0.0)
    return Gate(folder=folder, owner=owner, allow_busy=allow_busy, survey=survey, clock=Clock())


def clock_of(of: Gate) -> Clock:
    clock = of._clock
    assert isinstance(clock, Clock)
    return clock


def slots(*, per_job: int = 1, per_gpu: int = 1) -> tuple[Slot, ...]:
    return gpus.make_slots(FOUR, gpus_per_job=per_job, jobs_per_gpu=per_gpu)


def causes(found: dict[int, Pass | Blocked]) -> dict[int, str]:
    """The causes of the slots that were stopped; the passes of the others are closed."""
    for one in found.values():
        if isinstance(one, Pass):
            one.close()
    return {index: one.cause for index, one in found.items() if isinstance(one, Blocked)}


def test_a_cpu_slot_passes_without_a_lock_or_a_look(tmp_path: Path) -> None:
    assert gate(tmp_path / "none").admit([CPU], NONE) == {0: Pass()}
    assert not (tmp_path / "none").exists()
    assert not nvml.CALLS


def test_free_gpus_pass_each_with_its_lock(tmp_path: Path) -> None:
    found = gate(tmp_path).admit(slots(), NONE)
    passes = [one for one in found.values() if isinstance(one, Pass)]
    assert [len(one.held) for one in passes] == [1, 1, 1, 1]
    assert [one.port for one in passes] == [None] * 4
    assert set(causes(gate(tmp_path, "other").admit(slots(), NONE))) == {0, 1, 2, 3}
    assert not any(os.get_inheritable(one.held[0]) for one in passes)
    assert not causes(found)
    assert not causes(gate(tmp_path, "other").admit(slots(), NONE))


def test_a_slot_of_several_gpus_has_a_port_of_its_own(tmp_path: Path) -> None:
    found = gate(tmp_path).admit(slots(per_job=2), NONE)
    ports = [one.port for one in found.values() if isinstance(one, Pass)]
    assert len(set(ports)) == 2
    assert None not in ports
    assert [len(one.held) for one in found.values() if isinstance(one, Pass)] == [3, 3]
    assert not causes(found)


def test_jobs_of_one_call_share_a_gpu_and_nvml_is_asked_once(tmp_path: Path) -> None:
    for match in (True, False):
        nvml.CALLS.clear()
        found = gate(tmp_path, match=match).admit(slots(per_gpu=2), NONE)
        assert len(found) == 8
        assert not causes(found)
        assert [nvml.CALLS[f"{ASKED} {one.uuid}"] for one in FOUR] == [1, 1, 1, 1]


@pytest.mark.parametrize("match", [True, False])
def test_a_gpu_that_others_use_is_left_alone_until_it_is_free(tmp_path: Path, match: bool) -> None:
    door = gate(tmp_path, match=match)
    nvml.BOARDS[1].processes, nvml.BOARDS[1].memory = [Process(ME)], (80 * GIB, 9 * GIB)
    assert set(causes(door.admit(slots(), NONE))) == {1}
    nvml.BOARDS[1].processes, nvml.BOARDS[1].memory = [], (80 * GIB, 0)
    asked = nvml.CALLS[f"{ASKED} {FOUR[1].uuid}"]
    clock_of(door).now += ASK_AGAIN_S - 0.01
    assert set(causes(door.admit(slots(), NONE))) == {1}
    assert nvml.CALLS[f"{ASKED} {FOUR[1].uuid}"] == asked
    clock_of(door).now += 0.02
    assert not causes(door.admit(slots(), NONE))


def test_a_stopped_slot_leaves_its_gpus_to_others(tmp_path: Path) -> None:
    nvml.BOARDS[1].processes = [Process(ME)]
    assert set(causes(gate(tmp_path).admit(slots(per_job=2), NONE))) == {0}
    nvml.BOARDS[1].processes = []
    assert not causes(gate(tmp_path, "other").admit(slots(per_job=2), NONE))


def test_memory_of_our_own_job_is_no_stranger_where_pids_cannot_be_matched(tmp_path: Path) -> None:
    nvml.BOARDS[0].memory = (80 * GIB, 40 * GIB)
    assert not causes(gate(tmp_path, match=False).admit(slots()[:1], frozenset({FOUR[0].uuid})))
    assert "40.0 GiB in use" in causes(gate(tmp_path, match=False).admit(slots()[:1], NONE))[0]
    earlier = gate(tmp_path).admit(slots()[:1], NONE)
    assert not causes(gate(tmp_path, match=False).admit(slots()[:1], NONE))
    assert not causes(earlier)


def test_a_job_whose_keeper_was_killed_still_has_its_gpu(tmp_path: Path) -> None:
    nvml.BOARDS[0].processes = [Process(ME)]
    assert "no loop keeps any more" in causes(gate(tmp_path, ours=True).admit(slots()[:1], NONE))[0]
    assert not causes(gate(tmp_path, ours=True).admit(slots()[:1], frozenset({FOUR[0].uuid})))


def test_busy_gpus_are_taken_when_asked_for_but_never_a_lost_one(tmp_path: Path) -> None:
    theirs = gate(tmp_path, "other").admit(slots()[:1], NONE)
    nvml.BOARDS[1].processes = [Process(ME)]
    nvml.BOARDS[2].lost = "GpuIsLost"
    found = gate(tmp_path, allow_busy=True).admit(slots(), NONE)
    assert [len(one.held) for one in found.values() if isinstance(one, Pass)] == [0, 1, 1]
    assert isinstance(found[2], Blocked)
    assert found[2].lost
    assert set(causes(found)) == {2}
    assert not causes(theirs)


def test_a_lost_gpu_is_asked_for_seldom_and_may_come_back(tmp_path: Path) -> None:
    door = gate(tmp_path)
    assert not causes(door.admit(slots(), NONE))
    nvml.BOARDS[3].lost = "GpuIsLost"
    found = door.admit(slots(), NONE)
    assert isinstance(found[3], Blocked)
    assert found[3].lost
    assert set(causes(found)) == {3}
    opened = nvml.CALLS["nvmlInit"]
    for _ in range(5):
        clock_of(door).now += ASK_LOST_AGAIN_S / 6
        assert set(causes(door.admit(slots(), NONE))) == {3}
    assert nvml.CALLS["nvmlInit"] == opened
    nvml.BOARDS[3].lost = ""
    clock_of(door).now += ASK_LOST_AGAIN_S
    assert not causes(door.admit(slots(), NONE))


def test_when_the_driver_goes_every_gpu_is_lost(tmp_path: Path) -> None:
    door = gate(tmp_path)
    assert not causes(door.admit(slots(), NONE))
    nvml.nvmlShutdown()
    nvml.DRIVER[0] = False
    found = door.admit([*slots(), CPU], NONE)
    assert [one.lost for one in found.values() if isinstance(one, Blocked)] == [True] * 3
    assert isinstance(found[0], Pass)  # the CPU slot has the first one's number
    assert "Not Found" in causes(found)[3]


@pytest.mark.parametrize("driver", [True, False])
def test_however_many_gpus_are_lost_nvml_is_opened_anew_once(tmp_path: Path, driver: bool) -> None:
    door = gate(tmp_path)
    assert not causes(door.admit(slots(), NONE))
    for board in nvml.BOARDS[:3]:
        board.lost = "GpuIsLost"
    if not driver:
        nvml.nvmlShutdown()
        nvml.DRIVER[0] = False
    opened = nvml.CALLS["nvmlInit"]
    assert set(causes(door.admit(slots(), NONE))) == ({0, 1, 2} if driver else {0, 1, 2, 3})
    assert nvml.CALLS["nvmlInit"] == opened + 1


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """No more than `count` descriptors can be opened inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    used: list[int] = []
    try:
        with suppress(OSError):
            while True:
                used.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(used.pop())
        yield
    finally:
        for descriptor in used:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_without_descriptors_a_slot_waits(tmp_path: Path, left: int) -> None:
    """They run out at the first lock, at the second, at the port's and at the bind test."""
    door = gate(tmp_path)
    assert not causes(door.admit(slots(), NONE))
    with descriptors_left(left):
        found = door.admit(slots(per_job=2)[:1], NONE)
    assert os.strerror(errno.EMFILE) in causes(found)[0]
    assert not causes(door.admit(slots(per_job=2)[:1], NONE))


def test_a_broken_folder_stops_the_slots_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = causes(gate(tmp_path / "file").admit(slots()[:1], NONE))
    assert "AUTO_LOOP_LEASE_DIR" in said[0]
    assert "AUTO_LOOP_LEASE_DIR" in causes(gate(tmp_path / "file", allow_busy=True).admit(slots()[:1], NONE))[0]


def test_without_a_port_a_slot_gives_its_gpus_back(tmp_path: Path) -> None:
    tmp_path.joinpath("port_23400").mkdir()
    assert "Is a directory" in causes(gate(tmp_path).admit(slots(per_job=2)[:1], NONE))[0]
    assert not causes(gate(tmp_path, "other").admit(slots()[:2], NONE))


HEIR = "import sys; print(flush=True); sys.stdin.readline()"


def test_the_heir_of_a_pass_keeps_the_gpu_and_the_next_supervisor_shares_it(tmp_path: Path) -> None:
    found = gate(tmp_path).admit(slots()[:1], NONE)
    passed = found[0]
    assert isinstance(passed, Pass)
    command = [sys.executable, "-c", HEIR]
    with subprocess.Popen(
        command, pass_fds=passed.held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as heir:
        assert heir.stdout is not None
        heir.stdout.readline()
        passed.close()
        assert "held by study mine" in causes(gate(tmp_path, "other").admit(slots()[:1], NONE))[0]
        assert not causes(gate(tmp_path).admit(slots(per_gpu=2)[4:5], NONE))
        heir.communicate("\n")
    assert not causes(gate(tmp_path, "other").admit(slots()[:1], NONE))


def test_a_keeper_holds_the_lock_and_its_job_does_not(tmp_path: Path) -> None:
    """What a job leaves behind in a session of its own would else hold the GPU for ever."""
    passed = gate(tmp_path / "locks").admit(slots()[:1], NONE)[0]
    assert isinstance(passed, Pass)
    launcher = LocalLauncher()
    job = request(tmp_path, ("sh", "-c", "ls -l /proc/self/fd > seen.aside; mv seen.aside seen; exec sleep 60"))
    handle = launcher.launch(replace(job, held=passed.held))
    try:
        until((tmp_path / "seen").exists)
        assert "gpu_" not in (tmp_path / "seen").read_text()
        assert "held by study mine" in causes(gate(tmp_path / "locks", "other").admit(slots()[:1], NONE))[0]
    finally:
        launcher.signal(handle, Signal.KILL)
        until(lambda: isinstance(launcher.poll(handle, job.exit_file), Exit))
        launcher.close()
    assert not causes(gate(tmp_path / "locks", "other").admit(slots()[:1], NONE))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


def test_a_lease_says_since_when_it_is_held(tmp_path: Path) -> None:
    door = gate(tmp_path)
    clock_of(door).now = 5_000.0
    assert not causes(door.admit(slots()[:1], NONE))
    assert json.loads((tmp_path / f"gpu_{FOUR[0].uuid}").read_text()) == {
        "study": "mine",
        "ledger": "/l",
        "pid": ME,
        "since": 5_000.0,
    }


def test_a_mig_device_is_leased_by_its_own_name(tmp_path: Path) -> None:
    nvml.BOARDS[0] = Board("0:00", "GPU-x", parts=["MIG-GPU-x/7/0", "MIG-y"])
    parts = [Gpu(index=0, uuid=uuid, name="H100", memory_total=GIB) for uuid in ("MIG-GPU-x/7/0", "MIG-y")]
    both = gpus.make_slots(parts)
    found = gate(tmp_path).admit(both[:1], NONE)
    assert "GPU MIG-GPU-x/7/0 is held" in causes(gate(tmp_path, "other").admit(both, NONE))[0]
    assert not causes(found)
