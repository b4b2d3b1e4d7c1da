"""The trainer's class server against classes of every kind: sound, talkative, deadly, hanging, absent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.launch.class_server import TrainerClassServer, trainer_class
from auto_loop.launch.profile_text import parse_profile, shipped_profile

pytest.importorskip("draccus")

STRANGE = """
import os, sys, time
from dataclasses import dataclass
loads = open("loads", "a"); loads.write("x"); loads.close()
print("hello from the import")
@dataclass
class Config:
    do: str = "pass"
    def __post_init__(self):
        print("hello from the class", flush=True)
        os.write(1, b"[]\\n")
        match_ = {"exit": lambda: sys.exit(3), "raise": lambda: 1 / 0, "die": lambda: os._exit(7),
                  "crash": lambda: os.abort(), "hang": lambda: time.sleep(600), "read": lambda: sys.stdin.read(),
                  "interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
                  "token": lambda: exec("raise ValueError('hub token=hf_abcdefghijklmnopqrstuvwxyz is wrong')"),
                  "child": lambda: exec("import subprocess; subprocess.Popen(['sleep', '613'])")}
        match_.get(self.do, lambda: None)()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrainerClassServer]:
    with server_of(tmp_path, STRANGE) as made:
        yield made


def server_of(folder: Path, source: str, *, config_s: float = 30.0) -> TrainerClassServer:
    (folder / "theirs.py").write_text(source)
    found = trainer_class(parse_profile('[config]\nclass = "theirs:Config"'), sys.executable, folder, os.environ)
    assert found is not None
    return TrainerClassServer(found, config_s=config_s)


def said(server: TrainerClassServer, *dos: str) -> list[str]:
    return ["; ".join(fault.what for fault in faults) for faults in server.check([Config.of({"do": do}) for do in dos])]


def loads(folder: Path) -> int:
    return len((folder / "loads").read_text())


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_class_is_loaded_once_however_often_it_is_asked(server: TrainerClassServer, tmp_path: Path) -> None:
    assert [said(server, "pass", "raise", "pass") for _ in range(5)] == [["", "division by zero", ""]] * 5
    assert loads(tmp_path) == 1


def test_nothing_runs_before_it_is_asked(tmp_path: Path) -> None:
    before = children()
    with server_of(tmp_path, STRANGE) as server:
        assert server.check([]) == []
        assert children() == before
    assert not (tmp_path / "loads").exists()


def test_it_can_be_started_ahead(server: TrainerClassServer, tmp_path: Path) -> None:
    server.start()
    server.start()
    eventually((tmp_path / "loads").exists)
    assert said(server, "pass") == [""]
    assert loads(tmp_path) == 1


@pytest.mark.parametrize(("do", "fault"), [("exit", "3"), ("interrupt", "KeyboardInterrupt"), ("read", "")])
def test_what_it_raises_or_reads_is_said_and_it_goes_on(
    server: TrainerClassServer, tmp_path: Path, do: str, fault: str
) -> None:
    assert said(server, do, "pass") == [fault, ""]
    assert loads(tmp_path) == 1


@pytest.mark.parametrize("do", ["die", "crash"])
def test_a_config_that_ends_the_interpreter_is_refused_and_the_next_is_asked_of_a_new_one(
    server: TrainerClassServer, tmp_path: Path, do: str
) -> None:
    assert said(server, "pass", do, "pass") == ["", "its interpreter ended while reading it", ""]
    assert loads(tmp_path) == 2
    assert not server.why_not


def test_a_config_that_hangs_is_refused_after_its_time_and_the_next_is_asked(tmp_path: Path) -> None:
    with server_of(tmp_path, STRANGE, config_s=2.0) as server:
        assert said(server, "hang", "pass") == ["it had not read it after 2 s", ""]


def test_one_that_was_killed_between_two_questions_blames_no_config(server: TrainerClassServer, tmp_path: Path) -> None:
    before = children()
    assert said(server, "pass") == [""]
    (pid,) = children() - before
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert said(server, "raise", "pass") == ["division by zero", ""]
    assert pid not in children(), "it was reaped"


def test_a_stopped_interpreter_does_not_block_the_asker_with_a_config_beyond_a_pipes_size(tmp_path: Path) -> None:
    with server_of(tmp_path, STRANGE, config_s=2.0) as server:
        before = children()
        assert said(server, "pass") == [""]
        (pid,) = children() - before
        os.kill(pid, signal.SIGSTOP)
        assert said(server, "x" * 1_000_000, "x" * 1_000_000) == ["it had not read it after 2 s", ""]


def test_secrets_in_its_words_are_masked(server: TrainerClassServer) -> None:
    (text,) = said(server, "token")
    assert "is wrong" in text
    assert "hf_abc" not in text


@pytest.mark.parametrize("source", ["import no_such_package_here", "raise SystemExit(4)", "print('{}')", "Config = 3"])
def test_a_class_that_cannot_be_read_lets_all_pass_with_one_note(tmp_path: Path, source: str) -> None:
    before = children()
    with server_of(tmp_path, source) as server:
        assert said(server, "a", "b") == ["", ""]
        assert "theirs:Config could not be read" in server.note
        assert server.fields() is None
        assert children() == before


def test_an_interpreter_that_is_not_there_lets_all_pass_with_one_note(tmp_path: Path) -> None:
    found = trainer_class(shipped_profile("act_ot"), str(tmp_path / "python"), tmp_path, os.environ)
    assert found is not None
    with TrainerClassServer(found) as server:
        assert server.check([Config.of({})]) == [()]
        assert "could not be read" in server.note


def test_it_is_gone_with_all_that_it_started_when_it_is_closed_and_can_be_asked_again(tmp_path: Path) -> None:
    before = children()
    server = server_of(tmp_path, STRANGE)
    assert said(server, "pass") == [""]
    server.close()
    assert children() == before
    assert said(server, "pass") == [""]
    server.close()
    server.close()
    assert loads(tmp_path) == 2


SUPERVISOR = """
import os, sys
from pathlib import Path
from auto_loop.domain.config import Config
from auto_loop.launch.class_server import TrainerClass, TrainerClassServer
folder = Path(sys.argv[1])
trainer = TrainerClass(name="theirs:Config", python=sys.executable, root=folder, env=os.environ)
server = TrainerClassServer(trainer)
server.check([Config.of({})])
print(server._child._process.pid, flush=True)
server.check([Config.of({"do": sys.argv[2]})])
input()
"""


@pytest.mark.parametrize("do", ["pass", "hang"])
def test_it_dies_with_a_supervisor_that_is_killed(tmp_path: Path, do: str) -> None:
    (tmp_path / "theirs.py").write_text(STRANGE)
    words = [sys.executable, "-c", SUPERVISOR, str(tmp_path), do]
    supervisor = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert os.getsid(pid) == pid, "a session of its own"
        supervisor.kill()
    eventually(lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
