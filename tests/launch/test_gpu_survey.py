import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auto_loop.domain.slot import Blocked, Gpu
from auto_loop.launch.gpu_survey import BUSY_BYTES, Compute, Look, Survey, in_first_namespace, judge, of_a_job
from tests.fakes import nvml
from tests.fakes.nvml import GIB, PROGRAM, Board, Process
from tests.launch.make import gpu

ROOT = Path(__file__).parents[2]
FAKE = "tests.fakes.nvml"
GPU = gpu(3, "GPU-a")
ME = os.getpid()
SLEEP = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def machine() -> Iterator[None]:
    nvml.reset()
    nvml.BOARDS[:] = [Board("0:01", "GPU-a"), Board("0:02", "GPU-b")]
    yield
    nvml.reset()


def survey(*, pids_match: bool = True, ours: bool = False) -> Survey:
    return Survey(FAKE, pids_match=pids_match, is_ours=lambda _: ours)


@contextmanager
def process(env: dict[str, str], program: str = SLEEP) -> Iterator[int]:
    """A living process with that environment."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        yield int(line) if line.strip() else started.pid
        started.kill()


def test_an_idle_gpu_is_free() -> None:
    assert survey().look("GPU-a") == Look(processes=())
    assert survey(pids_match=False).look("GPU-a") == Look(memory_used=0)


def test_a_foreign_process_is_named() -> None:
    nvml.BOARDS[0].processes = [Process(ME, 12 * GIB), Process(os.getppid(), None)]
    blocked = judge(GPU, survey().look("GPU-a"), held=True)
    assert blocked is not None
    program = Path("/proc/self/comm").read_text().strip()
    assert blocked.cause.startswith(f"GPU 3 is used by process {ME} ({program} of ")
    assert blocked.cause.endswith(", 12.0 GiB), and 1 more")
    assert not blocked.lost


def test_clients_of_an_mps_server_are_seen_and_the_server_is_none() -> None:
    with process({}, f"open('/proc/self/comm', 'w').write('nvidia-cuda-mps-server'); {SLEEP}") as pid:
        nvml.BOARDS[0].processes = [Process(pid), Process(ME, GIB, mps=True)]
        found = survey().look("GPU-a").processes
        assert found is not None
        assert [one.pid for one in found] == [ME]


def test_who_has_ended_uses_nothing() -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    nvml.BOARDS[0].processes = [Process(ended.pid)]
    assert survey().look("GPU-a").processes == ()
    ended.wait()
    assert survey().look("GPU-a").processes == ()


def test_a_process_of_a_job_is_told_by_its_token_or_its_parents() -> None:
    with process({"AUTO_LOOP_TOKEN": "t"}) as pid:
        assert of_a_job(pid)
    assert not of_a_job(1 << 30)
    with process({}) as pid:
        assert not of_a_job(pid) or of_a_job(ME)
    child = (
        "import subprocess, sys; "
        "c = subprocess.Popen([sys.executable, '-c', 'input()'], env={}, stdin=subprocess.PIPE); "
        "print(c.pid, flush=True); input()"
    )
    with process({"AUTO_LOOP_TOKEN": "t"}, child) as pid:
        assert of_a_job(pid)


COMPUTE = Compute(pid=7, program="python", user="anna", memory=3 * GIB, ours=False)
OURS = Compute(pid=8, program="python", user="me", memory=None, ours=True)


@pytest.mark.parametrize(
    ("look", "held", "expected"),
    [
        (Look(processes=()), False, None),
        (Look(processes=(COMPUTE,)), False, "GPU 3 is used by process 7 (python of anna, 3.0 GiB)"),
        (Look(processes=(OURS, COMPUTE)), True, "GPU 3 is used by process 7 (python of anna, 3.0 GiB)"),
        (Look(processes=(OURS,)), True, None),
        (
            Look(processes=(OURS,)),
            False,
            "GPU 3 is used by process 8 (python of me, a job that no loop keeps any more or another study's)",
        ),
        (Look(memory_used=BUSY_BYTES), False, None),
        (
            Look(memory_used=BUSY_BYTES + (1 << 20)),
            False,
            "GPU 3 has 257 MiB in use by processes that cannot be seen from here",
        ),
        (Look(memory_used=70 * GIB), True, None),
        (Look(), False, None),
        (Look(lost="GPU is lost"), True, "GPU 3 does not answer: GPU is lost"),
    ],
)
def test_verdicts(look: Look, held: bool, expected: str | None) -> None:
    blocked = judge(GPU, look, held=held)
    assert (blocked and blocked.cause) == expected
    assert (blocked is not None and blocked.lost) == bool(look.lost)


def test_a_mig_device_is_looked_at_by_itself() -> None:
    parts = [Board("0:01", "MIG-x", processes=[Process(ME, GIB)]), Board("0:01", "MIG-y", memory=(GIB, GIB))]
    nvml.BOARDS[0] = Board("0:01", "GPU-a", parts=parts)
    looks = survey()
    assert looks.look("MIG-x").processes
    assert looks.look("MIG-y").processes == ()
    mig = Gpu(index=0, uuid="MIG-y", name="H100", memory_total=GIB)
    assert survey(pids_match=False).look("MIG-x") == Look(memory_used=0)
    blocked = judge(mig, survey(pids_match=False).look("MIG-y"), held=False)
    assert blocked == Blocked(cause="GPU MIG-y has 1.0 GiB in use by processes that cannot be seen from here")


def test_what_the_driver_reserves_is_not_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.BOARDS[0].memory = (80 * GIB, 1 << 20)
    assert survey(pids_match=False).look("GPU-a").memory_used == 1 << 20
    monkeypatch.delattr(nvml, "nvmlMemory_v2")
    assert survey(pids_match=False).look("GPU-a").memory_used == (1 << 20) + nvml.BOARDS[0].reserved


def test_older_names_of_a_function_do() -> None:
    nvml.BOARDS[0].fails = {"nvmlDeviceGetComputeRunningProcesses_v3": "FunctionNotFound"}
    nvml.BOARDS[0].processes = [Process(ME)]
    assert survey().look("GPU-a").processes


@pytest.mark.parametrize("error", ["NotSupported", "NoPermission", "FunctionNotFound", "InvalidArgument"])
def test_what_nvml_cannot_tell_blocks_nothing(error: str) -> None:
    nvml.BOARDS[0].fails = {f"nvmlDeviceGetComputeRunningProcesses_v{version}": error for version in (2, 3)}
    nvml.BOARDS[0].fails["nvmlDeviceGetMPSComputeRunningProcesses_v3"] = error
    assert survey().look("GPU-a") == Look(memory_used=0)
    nvml.BOARDS[0].fails["nvmlDeviceGetMemoryInfo"] = error
    assert survey().look("GPU-a") == Look()
    nvml.BOARDS[0].fails = {"nvmlDeviceGetMemoryInfo": error}
    assert survey(pids_match=False).look("GPU-a") == Look()


def _off_the_bus() -> None:
    nvml.BOARDS[0].lost = "GpuIsLost"


def _unknown() -> None:
    nvml.BOARDS[0].lost = "Unknown"


def _gone_from_the_list() -> None:
    del nvml.BOARDS[0]


def _one_call_says_so() -> None:
    nvml.BOARDS[0].fails = {"nvmlDeviceGetComputeRunningProcesses_v3": "GpuIsLost"}


@pytest.mark.parametrize("loss", [_off_the_bus, _unknown, _gone_from_the_list, _one_call_says_so])
def test_a_gpu_that_is_lost_is_told_and_the_other_is_not(loss: Callable[[], None]) -> None:
    looks = survey()
    assert not looks.look("GPU-a").lost
    loss()
    assert looks.look("GPU-a").lost
    assert looks.look("GPU-b") == Look(processes=())
    opened = nvml.CALLS["nvmlInit"]
    assert looks.look("GPU-b") == Look(processes=())
    assert nvml.CALLS["nvmlInit"] == opened


def test_a_gpu_missing_from_the_count_is_lost_though_its_handle_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = survey()
    assert not looks.look("GPU-b").lost
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 1)
    assert looks.look("GPU-b") == Look(lost="NVML does not list it any more")


def test_a_driver_that_goes_takes_all_and_may_come_back() -> None:
    looks = survey()
    looks.look("GPU-a")
    nvml.DRIVER[0] = False
    nvml.nvmlShutdown()
    assert looks.look("GPU-a") == Look(lost="NVML Shared Library Not Found")
    assert looks.look("GPU-b").lost
    nvml.DRIVER[0] = True
    assert looks.look("GPU-a") == Look(processes=())


def test_a_driver_that_was_reloaded_is_opened_anew() -> None:
    looks = survey()
    looks.look("GPU-a")
    nvml.nvmlShutdown()
    assert looks.look("GPU-a") == Look(processes=())
    assert nvml.CALLS["nvmlInit"] == 2


def test_nvml_is_opened_once_and_closed_twice_is_no_harm() -> None:
    looks = survey()
    for _ in range(3):
        looks.look("GPU-a")
        looks.look("GPU-b")
    assert nvml.CALLS["nvmlInit"] == 1
    looks.close()
    looks.close()
    assert not looks.look("GPU-a").lost


def test_without_the_library_a_gpu_is_lost() -> None:
    assert "no_such_nvml" in Survey("no_such_nvml", pids_match=True).look("GPU-a").lost


def test_the_first_namespace_is_told_by_its_number() -> None:
    assert in_first_namespace() == (os.readlink("/proc/self/ns/pid") == "pid:[4026531836]")


WATCHER = """
import sys
from auto_loop.launch.gpu_survey import Survey
from auto_loop.launch.gpus import probe
print([gpu.uuid for gpu in probe()], flush=True)
survey = Survey(pids_match=True)
for _ in sys.stdin:
    print(survey.look("GPU-a"), flush=True)
"""


def test_another_program_sees_the_fake_change(tmp_path: Path) -> None:
    file = tmp_path / "gpus.json"
    boards = [Board("0:01", "GPU-a", parts=[]), Board("0:02", "GPU-b", parts=["MIG-x"])]
    nvml.write_machine(file, boards)
    env = os.environ | {"PYTHONPATH": f"{PROGRAM}:{ROOT}", nvml.FILE: str(file)}
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdin is not None
        assert watcher.stdout is not None

        def told() -> str:
            assert watcher.stdin is not None
            assert watcher.stdout is not None
            watcher.stdin.write("\n")
            watcher.stdin.flush()
            return watcher.stdout.readline()

        assert watcher.stdout.readline() == "['GPU-a', 'MIG-x']\n"
        assert "lost='', processes=()" in told()
        boards[0].processes = [Process(ME)]
        nvml.write_machine(file, boards)
        assert f"pid={ME}" in told()
        boards[0].lost = "GpuIsLost"
        nvml.write_machine(file, boards)
        assert "GpuIsLost" in told()
        nvml.write_machine(file, boards, driver=False)
        assert "Not Found" in told()
        nvml.write_machine(file, boards[1:])
        assert "does not list it" in told()
