"""The classes of real ends: real processes under keeper and runner, some under accelerate, that fail on purpose."""

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Ending, Exit, Handle
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.command import Entry, build
from auto_loop.launch.local import LocalLauncher
from auto_loop.launch.ports import lease_port
from auto_loop.launch.profile_text import shipped_profile
from auto_loop.loop.endings import Known, Logged, ending
from tests.launch.make import files, options, spec

PATIENCE_S = 120.0
# Each trains a little, as far as its log tells, and ends.
BEGIN = "import os, signal, sys\nprint('step 1: loss 0.7', flush=True)\n"
SCRIPTS = {
    "host memory": "bytearray(1 << 62)",
    "host memory, said by numpy": "import numpy; numpy.ones(1 << 45)",
    "full disk": "with open('/dev/full', 'w') as file:\n    file.write('x' * 100_000)",
    "port taken": (
        "import socket\nfirst = socket.socket(); first.bind(('127.0.0.1', 0)); first.listen()\n"
        "socket.socket().bind(first.getsockname())"
    ),
    "refused": "import argparse\nargparse.ArgumentParser().parse_args(['--lrr=3'])",
    "diverged": "print('error: the loss is not finite at step 9: loss=nan', file=sys.stderr); sys.exit(1)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "os.kill(os.getpid(), signal.SIGTERM)",
    "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
    "bug": "print('WARNING: CUDA out of memory in the probe'); {}['lr']",
}
CLASSES = {
    "host memory": Failure.OUT_OF_MEMORY,
    "host memory, said by numpy": Failure.OUT_OF_MEMORY,
    "full disk": Failure.DISK_FULL,
    "port taken": Failure.TRANSIENT,
    "refused": Failure.CONFIG_REFUSED,
    "diverged": Failure.NOT_FINITE,
    "killed": Failure.PREEMPTED,
    "terminated": Failure.PREEMPTED,
    "segfault": Failure.CRASH_AT_START,
    "bug": Failure.CRASH_AT_START,
}


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    made = LocalLauncher()
    yield made
    made.close()


def started(launcher: LocalLauncher, folder: Path, case: str, profile: str) -> tuple[Handle, LaunchRequest]:
    name = case.replace(" ", "_").replace(",", "")
    (folder / f"{name}.py").write_text(BEGIN + SCRIPTS[case])
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONFAULTHANDLER": "1"}
    given = options(folder, env=env, target=Entry(script=f"{name}.py"))
    asked = build(spec(folder, files=files(folder, name)), shipped_profile(profile), given)
    return launcher.launch(asked), asked


def judged(launcher: LocalLauncher, handle: Handle, asked: LaunchRequest, logged: Logged | None = None) -> Ending:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        launcher.wait((handle,), 1.0)
        status = launcher.poll(handle, asked.exit_file)
        if isinstance(status, Exit):
            log = asked.log_file.read_text()[-8192:]
            known = Known(log_tail=log, logged=logged or Logged())
            return ending(status, known, shipped_profile("act_ot").failures)
    raise AssertionError("never ended")


def test_the_classes_under_plain_python(tmp_path: Path, launcher: LocalLauncher) -> None:
    found = {}
    for case in SCRIPTS:
        found[case] = judged(launcher, *started(launcher, tmp_path, case, "script"))
    assert {case: end.failure for case, end in found.items()} == CLASSES
    assert found["killed"].cause.startswith("killed by SIGKILL")
    assert found["diverged"].cause == "error: the loss is not finite at step 9: loss=nan"
    assert found["bug"].cause == "KeyError: 'lr'"


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_the_classes_under_accelerate_which_ends_with_1_whatever_happened(
    tmp_path: Path, launcher: LocalLauncher
) -> None:
    cases = ["host memory", "refused", "diverged", "killed", "segfault", "bug"]
    running = {case: started(launcher, tmp_path, case, "accelerate-script") for case in cases}
    found = {case: judged(launcher, handle, asked) for case, (handle, asked) in running.items()}
    assert {end.returncode for end in found.values()} == {1}
    assert {case: end.failure for case, end in found.items()} == {case: CLASSES[case] for case in cases}
    assert "the trainer was killed (out of memory?)" in found["killed"].cause
    assert found["segfault"].cause == "ended by SIGSEGV"
    assert "unrecognized arguments: --lrr=3" in found["refused"].cause


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_of_two_processes_the_one_that_failed_speaks(tmp_path: Path, launcher: LocalLauncher) -> None:
    source = "import os, time\nif os.environ['RANK'] == '1':\n    bytearray(1 << 62)\ntime.sleep(60)"
    killed = "import os, signal, time\nif os.environ['RANK'] == '1':\n    os.kill(os.getpid(), 9)\ntime.sleep(60)"
    found = []
    for name, text in {"memory": source, "killed": killed}.items():
        (tmp_path / f"{name}.py").write_text(text)
        lease = lease_port(tmp_path / "leases")
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        given = spec(tmp_path, files=files(tmp_path, name), port=lease.port, held=(lease.descriptor,))
        told = options(tmp_path, env=env, target=Entry(script=f"{name}.py"), processes=2)
        asked = build(given, shipped_profile("accelerate-script"), told)
        found.append((launcher.launch(asked), asked))
    memory, gone = (judged(launcher, handle, asked, Logged(last_step=3)) for handle, asked in found)
    assert (memory.failure, gone.failure) == (Failure.OUT_OF_MEMORY, Failure.PREEMPTED)
    assert gone.cause.startswith(("killed by SIGKILL", "ended by SIGTERM"))
