"""The real `accelerate launch`, under our words, beside a user's own config file that means harm."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auto_loop.domain.job import Exit, Handle
from auto_loop.domain.slot import Device, Slot
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.command import build
from auto_loop.launch.gpus import make_slots, probe
from auto_loop.launch.local import LocalLauncher
from auto_loop.launch.ports import lease_port
from auto_loop.launch.profile_text import shipped_profile
from tests.launch.make import CPU, files, gpu, options, spec

pytestmark = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")

PATIENCE_S = 120.0
HOSTILE = """compute_environment: LOCAL_MACHINE
debug: true
distributed_type: 'NO'
gpu_ids: '7'
machine_rank: 0
main_training_function: main
mixed_precision: bf16
num_machines: 1
num_processes: 1
use_cpu: false
"""
JOB = """
import json, os, sys
names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "OMP_NUM_THREADS", "RANK", "WORLD_SIZE", "MASTER_PORT")
names += ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_DEBUG_MODE", "ACCELERATE_USE_CPU")
told = {name: os.environ.get(name) for name in names}
print("told", json.dumps(told | {"argv": sys.argv[1:]}), flush=True)
"""
FAILING = "raise RuntimeError('CUDA out of memory')"
SAVING = "import time\ntry:\n    print('up', flush=True); time.sleep(600)\nfinally:\n    print('saved', flush=True)"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose accelerate would put every job on GPU 7."""
    for folder in (tmp_path / "hf" / "accelerate", tmp_path / "home/.cache/huggingface/accelerate"):
        folder.mkdir(parents=True)
        (folder / "default_config.yaml").write_text(HOSTILE)
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5"}


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    made = LocalLauncher()
    yield made
    made.close()


def started(
    launcher: LocalLauncher, folder: Path, source: str, env: dict[str, str], slot: Slot = CPU, **more: object
) -> tuple[Handle, LaunchRequest]:
    (folder / "job.py").write_text(source)
    given = spec(folder, slot, files=files(folder, str(time.monotonic_ns())), **more)
    profile = shipped_profile("accelerate-script")
    asked = build(given, profile, options(folder, env=env, processes=2 if given.port else 1))
    return launcher.launch(asked), asked


def end(launcher: LocalLauncher, handle: Handle, asked: LaunchRequest) -> Exit:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        launcher.wait((handle,), PATIENCE_S)
        status = launcher.poll(handle, asked.exit_file)
        if isinstance(status, Exit):
            return status
    launcher.signal(handle, Signal.KILL)
    raise AssertionError("never ended")


def told(asked: LaunchRequest) -> list[dict[str, Any]]:
    lines = asked.log_file.read_text().splitlines()
    return [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("told ")]


def test_the_users_file_really_is_hostile(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "job.py").write_text(JOB)
    words = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes=1", "job.py"]
    done = subprocess.run(words, cwd=tmp_path, env=home, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.partition(" ")[2])["CUDA_VISIBLE_DEVICES"] == "7"


@pytest.mark.parametrize("where", ["HF_HOME", "~/.cache"])
def test_a_hostile_file_changes_no_pin(
    tmp_path: Path, home: dict[str, str], launcher: LocalLauncher, where: str
) -> None:
    env = home | ({"HF_HOME": str(tmp_path / "hf")} if where == "HF_HOME" else {})
    slot = Slot(index=1, device=Device.CUDA, gpus=(gpu(5),), cpu_threads=2)
    handle, asked = started(launcher, tmp_path, JOB, env, slot)
    assert end(launcher, handle, asked).returncode == 0
    (job,) = told(asked)
    assert job["CUDA_VISIBLE_DEVICES"] == "5"
    assert job["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert job["ACCELERATE_MIXED_PRECISION"] == "no"
    assert job["ACCELERATE_DEBUG_MODE"] is None
    assert job["OMP_NUM_THREADS"] == "2"


def test_a_cpu_slot_sees_no_gpu_and_accelerate_says_nothing(
    tmp_path: Path, home: dict[str, str], launcher: LocalLauncher
) -> None:
    handle, asked = started(launcher, tmp_path, JOB, home)
    assert end(launcher, handle, asked).returncode == 0
    (job,) = told(asked)
    assert job["CUDA_VISIBLE_DEVICES"] == ""
    assert job["ACCELERATE_USE_CPU"] == "True"
    assert job["OMP_NUM_THREADS"] == "3"
    assert asked.log_file.read_text().count("\n") == 1, "a warning names something that accelerate was not told"


def test_a_failure_keeps_its_inner_cause(tmp_path: Path, home: dict[str, str], launcher: LocalLauncher) -> None:
    handle, asked = started(launcher, tmp_path, FAILING, home)
    ended = end(launcher, handle, asked)
    assert (ended.returncode, ended.inner) == (1, "RuntimeError: CUDA out of memory")
    assert asked.log_file.read_text().rstrip().endswith("RuntimeError: CUDA out of memory")


def test_term_reaches_the_trainer_and_the_end_waits_for_it(
    tmp_path: Path, home: dict[str, str], launcher: LocalLauncher
) -> None:
    handle, asked = started(launcher, tmp_path, SAVING, home)
    deadline = time.monotonic() + PATIENCE_S
    while not (asked.log_file.exists() and "up" in asked.log_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert launcher.signal(handle, Signal.TERM)
    assert end(launcher, handle, asked).inner == "ended by SIGTERM"
    assert "saved" in asked.log_file.read_text()


def test_several_processes_meet_at_the_leased_port(
    tmp_path: Path, home: dict[str, str], launcher: LocalLauncher
) -> None:
    lease = lease_port(tmp_path / "leases")
    handle, asked = started(launcher, tmp_path, JOB, home, port=lease.port, held=(lease.descriptor,))
    assert lease_port(tmp_path / "leases").port != lease.port, "the keeper holds the lease now"
    assert end(launcher, handle, asked).returncode == 0
    jobs = sorted(told(asked), key=lambda job: job["RANK"])
    assert [(job["RANK"], job["WORLD_SIZE"]) for job in jobs] == [("0", "2"), ("1", "2")]
    assert {job["MASTER_PORT"] for job in jobs} == {str(lease.port)}
    assert lease_port(tmp_path / "leases").port == lease.port


@pytest.mark.gpu
@pytest.mark.skipif(not probe(), reason="no NVIDIA GPU on this machine")
def test_a_slot_is_the_gpu_that_nvml_names(tmp_path: Path, home: dict[str, str], launcher: LocalLauncher) -> None:
    source = "import torch; print([str(torch.cuda.get_device_properties(0).uuid), torch.cuda.device_count()])"
    for slot in make_slots(probe()):
        handle, asked = started(launcher, tmp_path, source, home, slot)
        assert end(launcher, handle, asked).returncode == 0
        assert asked.log_file.read_text().strip() == str([slot.gpus[0].uuid.removeprefix("GPU-"), 1])


def test_the_request_is_the_same_every_time(tmp_path: Path, home: dict[str, str]) -> None:
    profile = shipped_profile("accelerate-script")
    given = spec(tmp_path, token="tok")
    assert build(given, profile, options(tmp_path, env=home)) == build(given, profile, options(tmp_path, env=home))
    assert replace(given, token="other") != given
