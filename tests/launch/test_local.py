"""What only real processes show: trees, lost keepers, adopted jobs, and who gets a signal."""

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch import processes
from auto_loop.launch.base import LaunchRequest, Running, Signal, Unknown
from auto_loop.launch.command import RUNNER
from auto_loop.launch.local import LocalLauncher, inner_cause, read_exit
from auto_loop.launch.stopping import runs
from tests.launch.make import request

PATIENCE_S = 30.0
PYTHON = (sys.executable, "-S")


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    made = LocalLauncher()
    yield made
    made.close()


@pytest.fixture
def start(launcher: LocalLauncher, tmp_path: Path) -> Iterator[Callable[..., tuple[Handle, LaunchRequest]]]:
    handles: list[Handle] = []

    def started(source: str, *, runner: bool = False, name: str = "1_1", **env: str) -> tuple[Handle, LaunchRequest]:
        script = tmp_path / f"{name}.py"
        script.write_text(source)
        words = (str(RUNNER / "run.py"), str(script)) if runner else (str(script),)
        asked = request(tmp_path, (*PYTHON, *words), name=name, **env)
        handles.append(launcher.launch(asked))
        return handles[-1], asked

    yield started
    for handle in handles:
        launcher.signal(handle, Signal.KILL)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


def said(asked: LaunchRequest, word: str) -> bool:
    return asked.log_file.exists() and word in asked.log_file.read_text()


def end(launcher: LocalLauncher, handle: Handle, asked: LaunchRequest) -> Exit:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        launcher.wait((handle,), PATIENCE_S)
        status = launcher.poll(handle, asked.exit_file)
        if isinstance(status, Exit):
            return status
    raise AssertionError("never ended")


# A job that hides a grandchild in a session of its own, and one that cleared its environment.
HIDING = """
import os, sys, time
def hide(clear):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            command = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
            os.execve(command[0], command, {} if clear else dict(os.environ))
        os._exit(0)
hide(False); hide(True)
print("up", flush=True)
time.sleep(600)
"""


def test_kill_finds_what_hides(launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]) -> None:
    handle, asked = start(HIDING)
    until(lambda: said(asked, "up") and len(processes.tree(handle.pid, asked.token)) == 3)
    pids = processes.tree(handle.pid, asked.token)
    assert launcher.signal(handle, Signal.KILL)
    ended = end(launcher, handle, asked)
    assert ended.returncode == -9
    assert not any(one is not None and not one.ended for one in map(processes.process, pids))


def test_a_killed_keeper_leaves_unknown_until_the_job_ends(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]], tmp_path: Path
) -> None:
    go = str(tmp_path / "go")
    source = f"import os, time; print('up', flush=True)\nwhile not os.path.exists({go!r}): time.sleep(.01)"
    handle, asked = start(source)
    until(lambda: said(asked, "up"))
    os.kill(handle.pid, signal.SIGKILL)
    assert launcher.wait((handle,), PATIENCE_S) == {handle}
    status = launcher.poll(handle, asked.exit_file)
    assert isinstance(status, Unknown)
    assert len(status.pids) == 1
    assert launcher.wait((handle,), 0.05) == frozenset(), "the dead keeper's pidfd must not keep the loop awake"
    (tmp_path / "go").touch()
    ended = end(launcher, handle, asked)
    assert (ended.returncode, ended.error) == (None, "")


def test_a_killed_keepers_job_can_be_killed(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    # Without its keeper nobody finds a grandchild that has cleared its environment: it would outlive the tests.
    handle, asked = start(HIDING.replace("hide(True)", "hide(False)"))
    until(lambda: said(asked, "up") and len(processes.tree(handle.pid, asked.token)) == 3)
    pids = processes.tree(handle.pid, asked.token)
    os.kill(handle.pid, signal.SIGKILL)
    until(lambda: launcher.poll(handle, asked.exit_file) != Running())
    assert launcher.signal(handle, Signal.KILL)
    assert end(launcher, handle, asked).returncode is None
    assert not any(one is not None and not one.ended for one in map(processes.process, pids))


def test_the_commands_own_end_is_told_beside_that_of_what_it_left_behind(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    handle, asked = start("import os, time\nif os.fork() == 0: print('up', flush=True); time.sleep(600)")
    until(lambda: said(asked, "up") and len(processes.tree(handle.pid, asked.token)) == 1)
    launcher.signal(handle, Signal.KILL)
    seen = end(launcher, handle, asked)
    assert (seen.returncode, seen.error) == (0, "")
    assert seen.leader_ended_at is not None
    assert seen.leader_ended_at <= seen.ended_at


# A trainer with a forked data loader; only the trainer may hear of a TERM, or it would end by its worker's death.
WITH_WORKER = """
import os, signal, sys, time
worker = os.fork()
if worker == 0:
    signal.signal(signal.SIGTERM, lambda *_: (print("the worker was asked", flush=True), os._exit(1)))
    time.sleep(600)
def leave(*_):
    time.sleep(.05)
    print("worker alive" if os.waitpid(worker, os.WNOHANG)[0] == 0 else "worker dead", flush=True)
    os.kill(worker, 9)
    sys.exit(143)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
time.sleep(600)
"""


def test_term_is_for_the_trainer_not_for_its_workers(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    handle, asked = start(WITH_WORKER, runner=True)
    until(lambda: said(asked, "up") and len(processes.tree(handle.pid, asked.token)) == 2)
    assert launcher.signal(handle, Signal.TERM)
    assert end(launcher, handle, asked).returncode == 143
    assert said(asked, "worker alive")
    assert not said(asked, "the worker was asked")


def test_the_runner_ends_cleanly_on_term_and_leaves_the_cause(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    source = "import time\ntry:\n    print('up', flush=True); time.sleep(600)\nfinally:\n    print('saved', flush=True)"
    handle, asked = start(source, runner=True)
    until(lambda: said(asked, "up"))
    launcher.signal(handle, Signal.TERM)
    ended = end(launcher, handle, asked)
    assert ended.returncode == 143
    assert said(asked, "saved")


def test_the_inner_cause_comes_with_the_exit(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    handle, asked = start("raise ValueError('no data at all')", runner=True)
    ended = end(launcher, handle, asked)
    assert (ended.returncode, ended.inner) == (1, "ValueError: no data at all")
    assert said(asked, "Traceback")


def test_a_reused_pid_is_neither_watched_nor_signalled(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    handle, asked = start("import time; print('up', flush=True); time.sleep(600)")
    until(lambda: said(asked, "up"))
    stranger = dataclasses.replace(handle, start_time=handle.start_time - 1, reference="tok-of-another")
    rebooted = dataclasses.replace(handle, boot_id="another boot", reference="tok-of-another")
    for wrong in (stranger, rebooted):
        assert not launcher.signal(wrong, Signal.KILL)
        assert launcher.wait((wrong,), PATIENCE_S) == {wrong}
        status = launcher.poll(wrong, asked.exit_file)
        assert isinstance(status, Exit)
        assert status.returncode is None
    assert launcher.poll(handle, asked.exit_file) == Running()


def test_a_secret_reaches_the_job_and_no_file(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]], tmp_path: Path
) -> None:
    secret = "local-" + "5ec2e7" * 5
    source = f"import os, sys; sys.exit(os.environ['WANDB_API_KEY'] != {secret[:4]!r} + {secret[4:]!r})"
    handle, asked = start(source, WANDB_API_KEY=secret)
    assert end(launcher, handle, asked).returncode == 0
    written = [file for file in tmp_path.rglob("*") if file.is_file() and secret in file.read_text(errors="replace")]
    assert written == []
    assert secret not in repr(asked)


def test_an_attempt_runs_once_only(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]], tmp_path: Path
) -> None:
    handle, asked = start("print('ran')")
    assert end(launcher, handle, asked).returncode == 0
    with pytest.raises(OSError, match="already claimed"):
        launcher.launch(dataclasses.replace(asked, token="tok-another"))
    assert asked.log_file.read_text() == "ran\n"


def test_a_command_that_is_not_there_is_said(launcher: LocalLauncher, tmp_path: Path) -> None:
    asked = request(tmp_path, ["no-such-program-here"])
    ended = end(launcher, launcher.launch(asked), asked)
    assert ended.returncode == 127
    assert "no-such-program-here" in ended.error


def test_a_keeper_that_cannot_start_is_an_error_at_once(launcher: LocalLauncher, tmp_path: Path) -> None:
    asked = dataclasses.replace(request(tmp_path, ["true"]), keeper_python="/no/such/python")
    with pytest.raises(OSError, match="python"):
        launcher.launch(asked)


def test_descriptors_do_not_pile_up(
    launcher: LocalLauncher, start: Callable[..., tuple[Handle, LaunchRequest]]
) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    handle, asked = start("pass", name="0")
    end(launcher, handle, asked)
    before = opened()
    for number in range(5):
        handle, asked = start("pass", name=str(number + 1))
        launcher.wait((handle,), PATIENCE_S)
        end(launcher, handle, asked)
    launcher.wait((), 0)
    assert opened() == before


# Says which of the descriptors that it was not given are open in it all the same.
DESCRIPTORS = """
import os, time
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
print("up", [number for number in range(3, 100) if is_open(number)], flush=True)
time.sleep(600)
"""


def test_held_descriptors_live_in_the_keeper_and_not_in_the_job(launcher: LocalLauncher, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    asked = dataclasses.replace(request(tmp_path, [*PYTHON, "-c", DESCRIPTORS]), held=(lock,))
    handle = launcher.launch(asked)
    until(lambda: said(asked, "up ["))
    links = [os.readlink(f"/proc/{handle.pid}/fd/{number}") for number in os.listdir(f"/proc/{handle.pid}/fd")]
    assert str(tmp_path / "lock") in links
    assert asked.log_file.read_text() == "up []\n"
    launcher.signal(handle, Signal.KILL)
    end(launcher, handle, asked)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock)


def test_bare_commands_have_no_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    launcher = LocalLauncher(bare=True)
    asked = request(tmp_path, [*PYTHON, "-c", "print('bare'); raise SystemExit(5)"])
    handle = launcher.launch(asked)
    assert end(launcher, handle, asked).returncode == 5
    assert asked.log_file.read_text() == "bare\n"
    assert not asked.claim_file.exists()
    with pytest.raises(ValueError, match="own folder"):
        launcher.launch(dataclasses.replace(asked, cwd=tmp_path.parent))
    launcher.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("python", "-u", "/r/run.py", "train.py"), True),
        (("python", "/r/run.py", "-m", "lerobot"), True),
        (("python", "-m", "accelerate.commands.launch", "--cpu", "/r/run.py", "train.py"), False),
        (("python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"), False),
    ],
)
def test_a_trainer_is_told_from_its_launcher(words: tuple[str, ...], expected: bool) -> None:
    assert runs(words, "/r/run.py") is expected


def test_an_exit_of_another_attempt_is_none_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "1.exit"
    assert read_exit(file, "tok") is None
    file.write_text('{"token": "other", "returncode": 0, "ended_at": 1.0}')
    assert read_exit(file, "tok") is None
    file.write_text('{"token": "tok"')
    assert read_exit(file, "tok") is None


def test_inner_causes_are_one_line() -> None:
    assert inner_cause(None) == ""
    assert inner_cause({"type": "KeyError", "message": ""}) == "KeyError"
    assert inner_cause({"type": "OSError", "message": " disk full \n"}) == "OSError: disk full"
    assert inner_cause({"type": "SystemExit", "message": "143", "signal": "SIGTERM"}) == "ended by SIGTERM"


def test_what_a_command_leaves_behind_cannot_hold_its_slot_for_ever(tmp_path: Path) -> None:
    launcher = LocalLauncher(linger_s=0.3)
    script = tmp_path / "leaves.py"
    script.write_text(
        "import os, time\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    print('daemon', os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "time.sleep(0.2)\n"
    )
    asked = request(tmp_path, (*PYTHON, str(script)))
    handle = launcher.launch(asked)
    try:
        assert end(launcher, handle, asked).returncode == 0
        daemon = int(asked.log_file.read_text().split()[1])
        until(lambda: processes.process(daemon) is None)
    finally:
        launcher.signal(handle, Signal.KILL)
        launcher.close()
