"""Keepers through their fork server: what is killed, when, and what then has run, once or never.

More interpreters to try it with in `AUTO_LOOP_PYTHONS=/path/python3.9:/path/...`.
"""

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch import keepers, processes
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.claims import claimed
from auto_loop.launch.local import LocalLauncher
from auto_loop.runner import forkserver, schema
from tests.launch.make import request

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
LONG = ("sleep", "600")
PYTHONS = [sys.executable, *filter(None, os.environ.get("AUTO_LOOP_PYTHONS", "").split(os.pathsep))]


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    made = LocalLauncher()
    yield made
    made.close()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.005)


def end(launcher: LocalLauncher, handle: Handle, asked: LaunchRequest) -> Exit:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        launcher.wait((handle,), PATIENCE_S)
        status = launcher.poll(handle, asked.exit_file)
        if isinstance(status, Exit):
            return status
    raise AssertionError("never ended")


def servers(parent: int | None = None) -> list[int]:
    """The fork servers of a supervisor, this process unless told; its keepers are their children, not its own."""
    parent = parent or os.getpid()
    mine = [one.pid for one in processes.all_processes().values() if one.parent == parent and not one.ended]
    return [pid for pid in mine if processes.words(pid)[-1:] and processes.words(pid)[-1].endswith("forkserver.py")]


def gone(pid: int) -> bool:
    found = processes.process(pid)
    return found is None or found.ended


def locked(file: Path) -> bool:
    with file.open() as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock(file: Path) -> int:
    held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def test_many_launches_leave_the_server_as_it_was(launcher: LocalLauncher, tmp_path: Path) -> None:
    def launch(number: int) -> None:
        asked = request(tmp_path, ("sh", "-c", "echo x >> ran"), name=str(number))
        assert end(launcher, launcher.launch(asked), asked).returncode == 0

    def weight() -> tuple[int, int]:
        status = Path(f"/proc/{server}/statm").read_text().split()
        return int(status[1]), len(os.listdir(f"/proc/{server}/fd"))

    for number in range(20):
        launch(number)
    (server,) = servers()
    pages, descriptors = weight()
    for number in range(20, 200):
        launch(number)
    assert servers() == [server]
    assert weight()[1] == descriptors
    assert weight()[0] <= pages + 64, "256 KiB are no growth that goes on"
    assert (tmp_path / "ran").read_text() == "x\n" * 200
    children = [one for one in processes.all_processes().values() if one.parent == server]
    assert children == [], "no zombies"


def test_a_server_that_was_killed_between_launches_is_replaced(launcher: LocalLauncher, tmp_path: Path) -> None:
    first = request(tmp_path, LONG, name="first")
    kept = launcher.launch(first)
    for number, prepared in enumerate((False, True)):
        (server,) = servers()
        os.kill(server, signal.SIGKILL)
        until(lambda pid=server: gone(pid))
        if prepared:
            launcher.prepare()
        asked = request(tmp_path, ("true",), name=str(number))
        assert end(launcher, launcher.launch(asked), asked).returncode == 0
        assert server not in servers()
    assert launcher.signal(kept, Signal.KILL), "its keeper went on"
    assert end(launcher, kept, first).returncode == -9


def kill_later(pid: int, delay_s: float) -> int:
    """A child that kills `pid` so long after this."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(go, b"!")
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(go)
    return child


def test_a_server_killed_at_any_moment_of_a_launch_has_launched_it_once_or_never(tmp_path: Path) -> None:
    for number in range(30):
        launcher = LocalLauncher()
        launcher.launch(request(tmp_path, ("true",), name=f"warm{number}"))
        (server,) = servers()
        asked = request(tmp_path, ("sh", "-c", f"echo x >> ran{number}"), name=str(number))
        ran = tmp_path / f"ran{number}"
        killer = kill_later(server, number * 1e-4)
        try:
            handle = launcher.launch(asked)
        except OSError:
            assert claimed(asked.claim_file, "local", asked.token) is None, "it never will"
            assert not ran.exists()
        else:
            assert end(launcher, handle, asked).returncode == 0
            assert ran.read_text() == "x\n"
        os.waitpid(killer, 0)
        launcher.close()


def test_a_server_killed_before_it_took_the_request_has_launched_nothing(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    launcher.launch(request(tmp_path, ("true",), name="warm"))
    (server,) = servers()
    os.kill(server, signal.SIGSTOP)
    killer = kill_later(server, 0.1)
    asked = dataclasses.replace(request(tmp_path, ("touch", "ran")), held=(lock(tmp_path / "lock"),))
    with pytest.raises(OSError, match="before it had claimed"):
        launcher.launch(asked)
    os.waitpid(killer, 0)
    assert not locked(tmp_path / "lock")
    assert claimed(asked.claim_file, "local", asked.token) is None
    assert not (tmp_path / "ran").exists()


def test_a_stopped_server_is_waited_for_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepers, "_PATIENCE_S", 0.2)
    launcher = LocalLauncher()
    launcher.launch(request(tmp_path, ("true",), name="warm"))
    (server,) = servers()
    os.kill(server, signal.SIGSTOP)
    held = lock(tmp_path / "lock")
    asked = dataclasses.replace(request(tmp_path, ("touch", "ran"), name="late"), held=(held,))
    with pytest.raises(OSError, match="before it had claimed"):
        launcher.launch(asked)
    assert gone(server)
    assert not locked(tmp_path / "lock")
    monkeypatch.setattr(keepers, "_PATIENCE_S", PATIENCE_S)
    after = request(tmp_path, ("true",), name="after")
    assert end(launcher, launcher.launch(after), after).returncode == 0
    assert not (tmp_path / "ran").exists()
    launcher.close()


def test_a_keeper_killed_at_once_is_an_end_that_nobody_saw(launcher: LocalLauncher, tmp_path: Path) -> None:
    for number in range(10):
        asked = request(tmp_path, ("sh", "-c", f"echo x >> ran{number}"), name=str(number))
        handle = launcher.launch(asked)
        os.kill(handle.pid or 0, signal.SIGKILL)
        assert end(launcher, handle, asked).returncode in (None, 0)
        ran = tmp_path / f"ran{number}"
        assert not ran.exists() or ran.read_text() in ("", "x\n")
        with pytest.raises(OSError, match="already claimed"):
            launcher.launch(dataclasses.replace(asked, token="tok-again"))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_job_is_given_what_its_request_says_and_nothing_of_the_server(
    launcher: LocalLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setenv("OF_THE_SUPERVISOR", "1")
    stranger = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(stranger, True)
    mask = os.umask(0o027)
    (tmp_path / "work").mkdir()
    command = "umask; pwd; env; grep -E 'SigIgn|SigBlk' /proc/self/status; ls /proc/$$/fd; readlink /proc/$$/fd/0"
    asked = request(tmp_path, ("sh", "-c", command), LANG="C")
    asked = dataclasses.replace(asked, cwd=tmp_path / "work", keeper_python=python)
    try:
        handle = launcher.launch(asked)
    finally:
        os.umask(mask)
        os.close(stranger)
    assert end(launcher, handle, asked).returncode == 0
    lines = asked.log_file.read_text().splitlines()
    assert lines[:2] == ["0027", str(tmp_path / "work")]
    masks = [int(line.split()[1], 16) & 0x7FFFFFFF for line in lines if line.startswith("Sig")]
    assert masks == [0, 0]
    assert lines[-4:] == ["0", "1", "2", "/dev/null"]
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LANG", "AUTO_LOOP_TOKEN", "AUTO_LOOP_INNER"}


def test_a_request_of_a_megabyte(launcher: LocalLauncher, tmp_path: Path) -> None:
    env = {f"BIG_{number}": "\u00e4" * 50_000 for number in range(10)}
    asked = request(tmp_path, (sys.executable, "-S", "-c", "import os; print(len(os.environ['BIG_9']))"), **env)
    assert len(keepers.request_text(asked)) > 1_000_000
    assert end(launcher, launcher.launch(asked), asked).returncode == 0
    assert asked.log_file.read_text() == "50000\n"


@pytest.mark.parametrize("program", ["false", "true"])
def test_an_interpreter_that_does_not_run_is_said(launcher: LocalLauncher, tmp_path: Path, program: str) -> None:
    held = lock(tmp_path / "lock")
    asked = dataclasses.replace(request(tmp_path, ("touch", "ran")), keeper_python=program, held=(held,))
    with pytest.raises(OSError, match=rf"no keeper can be started: can this be run\? {program} "):
        launcher.launch(asked)
    assert not locked(tmp_path / "lock")
    good = request(tmp_path, ("true",))
    assert end(launcher, launcher.launch(good), good).returncode == 0


def test_why_there_is_no_claim_is_said_at_once(launcher: LocalLauncher, tmp_path: Path) -> None:
    asked = request(tmp_path, ("touch", "ran"))
    asked.claim_file.parent.mkdir(parents=True)
    over_long = asked.claim_file.with_name("x" * 300)
    with pytest.raises(OSError, match=r"no claim could be made.*too long"):
        launcher.launch(dataclasses.replace(asked, claim_file=over_long))
    claimed(asked.claim_file, "local", asked.token)
    with pytest.raises(OSError, match="already claimed"):
        launcher.launch(asked)
    assert not (tmp_path / "ran").exists()


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    os._exit(0)
while not os.path.exists("daemon"):
    time.sleep(0.01)
"""


def test_a_lock_is_held_until_the_last_of_the_attempt_has_ended(launcher: LocalLauncher, tmp_path: Path) -> None:
    file = tmp_path / "lock"
    asked = dataclasses.replace(request(tmp_path, (sys.executable, "-S", "-c", DAEMON)), held=(lock(file),))
    handle = launcher.launch(asked)
    until((tmp_path / "daemon").exists)
    other = request(tmp_path, ("true",), name="other")
    end(launcher, launcher.launch(other), other)
    (server,) = servers()
    assert str(file) not in [os.readlink(f"/proc/{server}/fd/{name}") for name in os.listdir(f"/proc/{server}/fd")]
    assert locked(file)
    (tmp_path / "go").touch()
    assert end(launcher, handle, asked).returncode == 0
    assert not locked(file)


SUPERVISOR = """
import dataclasses, fcntl, os, sys
from pathlib import Path
from auto_loop.launch import keepers
from auto_loop.launch.local import LocalLauncher
from tests.launch.make import request
folder, when = Path(sys.argv[1]), sys.argv[2]
held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
fcntl.flock(held, fcntl.LOCK_EX)
asked = request(folder, ("sh", "-c", "echo x >> ran; read _ < go"))
asked = dataclasses.replace(asked, token="tok-crash", held=(held,))
def die(moment):
    if moment == when:
        os.kill(os.getpid(), 9)
def sent(_):
    die("after sending")
keepers._line = sent
launcher = LocalLauncher(fault=die)
launcher.prepare()
launcher.launch(asked)
"""


@pytest.mark.parametrize("when", ["before launch", "after sending", "after launch"])
def test_a_supervisor_killed_around_a_launch(launcher: LocalLauncher, tmp_path: Path, when: str) -> None:
    os.mkfifo(tmp_path / "go")
    program = SUPERVISOR if when == "after sending" else SUPERVISOR.replace("keepers._line = sent\n", "")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), when],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == -9
    asked = dataclasses.replace(request(tmp_path, ("true",)), token="tok-crash")
    if when == "after sending":  # nobody says how far its keeper has come
        until(asked.claim_file.exists)
    handle = claimed(asked.claim_file, "local", asked.token)
    if when == "before launch":
        assert handle is None
        assert not (tmp_path / "ran").exists()
        assert not locked(tmp_path / "lock")
        return
    assert handle is not None
    until(lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text() == "x\n")
    assert locked(tmp_path / "lock")
    with (tmp_path / "go").open("w") as go:
        go.write("\n")
    assert end(launcher, handle, asked).returncode == 0
    assert not locked(tmp_path / "lock")


def test_a_server_ends_with_its_supervisor_and_its_keepers_do_not(launcher: LocalLauncher, tmp_path: Path) -> None:
    program = SUPERVISOR.replace("keepers._line = sent\n", "") + "print(flush=True)\nsys.stdin.read()\n"
    os.mkfifo(tmp_path / "go")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), "never"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        (server,) = servers(supervisor.pid)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(server, number)
        supervisor.kill()
    until(lambda: gone(server))
    asked = dataclasses.replace(request(tmp_path, ("true",)), token="tok-crash")
    handle = claimed(asked.claim_file, "local", asked.token)
    assert handle is not None
    assert locked(tmp_path / "lock")
    assert launcher.signal(handle, Signal.KILL)
    assert end(launcher, handle, asked).returncode == -9


def test_a_request_that_was_cut_off_claims_nothing(tmp_path: Path) -> None:
    keeper = forkserver.load_keeper()
    answers: list[dict[str, object]] = []
    asked = request(tmp_path, ("touch", "ran"))
    text = keepers.request_text(asked)
    for length in (0, 1, len(text) // 2, len(text) - 1):
        assert keeper.attend(lambda cut=text[:length]: cut, answers.append) == schema.CANNOT_CLAIM
    for answer in answers:
        assert tuple(answer) == schema.ANSWER_FIELDS
        assert json.loads(keeper.dumps(answer)) == answer
    assert not asked.claim_file.exists()
