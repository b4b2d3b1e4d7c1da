"""What every launcher keeps to: one suite, passed with real processes and on a fake clock."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch.base import Launcher, LaunchRequest, Running, Signal, Status
from auto_loop.launch.local import LocalLauncher
from auto_loop.launch.stub import Act, FakeClock, StubLauncher
from tests.launch.make import request

PATIENCE_S = 30.0  # a bound on hanging only; nothing is decided by it

ON_TERM = "import signal, sys, time; signal.signal(15, {}); print('up', flush=True); time.sleep(600)"
# What a job of each kind does, as a command and as a stub's act.
PROGRAMS = {
    "ends well": "pass",
    "fails": "raise SystemExit(3)",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "runs on": "import time; time.sleep(600)",
    "leaves when asked": ON_TERM.format("lambda *_: sys.exit(143)"),
    "ignores TERM": ON_TERM.format("signal.SIG_IGN"),
}
ACTS = {
    "ends well": Act(),
    "fails": Act(returncode=3),
    "is killed": Act(returncode=-9),
    "runs on": Act(duration_s=600),
    "leaves when asked": Act(duration_s=600, on_term_s=0.5),
    "ignores TERM": Act(duration_s=600, on_term_s=None),
}


@dataclass
class Stage:
    """A launcher, and how to start a job of a kind on it. `another` is a launcher as after a restart."""

    launcher: Launcher
    folder: Path
    another: Callable[[], Launcher]
    started: int = 0

    def start(self, kind: str) -> tuple[Handle, LaunchRequest]:
        self.started += 1
        asked = request(self.folder, [sys.executable, "-S", "-c", PROGRAMS[kind]], name=f"1_{self.started}", KIND=kind)
        handle = self.launcher.launch(asked)
        if kind in ("leaves when asked", "ignores TERM") and isinstance(self.launcher, LocalLauncher):
            until(lambda: asked.log_file.exists() and "up" in asked.log_file.read_text())
        return handle, asked

    def end(self, handle: Handle, asked: LaunchRequest, launcher: Launcher | None = None) -> Status:
        """The status after waits have said that there is one."""
        launcher = launcher or self.launcher
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if launcher.wait((handle,), PATIENCE_S):
                status = launcher.poll(handle, asked.exit_file)
                if isinstance(status, Exit):
                    return status
        raise AssertionError("never ended")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


@pytest.fixture(params=["local", "stub"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "stub":
        stub = StubLauncher(lambda asked: ACTS[asked.env["KIND"]], FakeClock())
        yield Stage(stub, tmp_path, lambda: stub)
        return
    launcher = LocalLauncher()
    made = [launcher]

    def another() -> Launcher:
        made.append(LocalLauncher())
        return made[-1]

    handles: list[Handle] = []
    launch = launcher.launch

    def remembered(request: LaunchRequest) -> Handle:
        handles.append(launch(request))
        launcher.prepare()
        return handles[-1]

    launcher.launch = remembered  # type: ignore[method-assign]  # so that no test leaves a process behind
    yield Stage(launcher, tmp_path, another)
    for handle in handles:
        launcher.signal(handle, Signal.KILL)
    for one in made:
        one.close()


@pytest.mark.parametrize(("kind", "returncode"), [("ends well", 0), ("fails", 3), ("is killed", -9)])
def test_an_end_is_seen_with_its_code(stage: Stage, kind: str, returncode: int) -> None:
    ended = stage.end(*stage.start(kind))
    assert isinstance(ended, Exit)
    assert ended.returncode == returncode
    assert ended.error == ""


def test_it_runs_until_it_ends(stage: Stage) -> None:
    handle, asked = stage.start("runs on")
    assert stage.launcher.poll(handle, asked.exit_file) == Running()
    assert stage.launcher.wait((handle,), 0.05) == frozenset()
    assert handle.launcher == stage.launcher.name


def test_a_wait_names_the_one_that_ended(stage: Stage) -> None:
    long, _ = stage.start("runs on")
    short, asked = stage.start("ends well")
    assert stage.launcher.wait((long, short), PATIENCE_S) == {short}
    assert isinstance(stage.launcher.poll(short, asked.exit_file), Exit)


def test_kill_ends_what_ignores_term(stage: Stage) -> None:
    handle, asked = stage.start("ignores TERM")
    assert stage.launcher.signal(handle, Signal.TERM)
    assert stage.launcher.wait((handle,), 0.05) == frozenset()
    assert stage.launcher.signal(handle, Signal.KILL)
    ended = stage.end(handle, asked)
    assert isinstance(ended, Exit)
    assert ended.returncode == -9


def test_term_lets_it_leave(stage: Stage) -> None:
    handle, asked = stage.start("leaves when asked")
    assert stage.launcher.signal(handle, Signal.TERM)
    ended = stage.end(handle, asked)
    assert isinstance(ended, Exit)
    assert ended.returncode == 143


def test_nothing_is_signalled_after_the_end(stage: Stage) -> None:
    handle, asked = stage.start("ends well")
    stage.end(handle, asked)
    assert not stage.launcher.signal(handle, Signal.TERM)
    assert not stage.launcher.signal(handle, Signal.KILL)


def test_a_wake_ends_a_wait(stage: Stage) -> None:
    handle, _ = stage.start("runs on")
    stage.launcher.wake()
    assert stage.launcher.wait((handle,), PATIENCE_S) == frozenset()


def test_another_supervisor_sees_the_end(stage: Stage) -> None:
    handle, asked = stage.start("leaves when asked")
    later = stage.another()
    assert later.poll(handle, asked.exit_file) == Running()
    assert later.signal(handle, Signal.TERM)
    ended = stage.end(handle, asked, later)
    assert isinstance(ended, Exit)
    assert ended.returncode == 143


def test_the_end_stays_the_same_when_asked_again(stage: Stage) -> None:
    handle, asked = stage.start("fails")
    assert stage.end(handle, asked) == stage.launcher.poll(handle, asked.exit_file)


def test_a_process_that_nobody_knows_has_ended_unseen(stage: Stage) -> None:
    known, _ = stage.start("ends well")
    nobody = replace(known, pid=2**22 + 5, start_time=1, reference="tok-none")  # of this boot
    assert stage.launcher.wait((nobody,), PATIENCE_S) == {nobody}
    ended = stage.launcher.poll(nobody, stage.folder / "no.exit")
    assert isinstance(ended, Exit)
    assert ended.returncode is None
    assert ended.error == ""
    assert not stage.launcher.signal(nobody, Signal.KILL)
