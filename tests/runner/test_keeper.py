"""The keeper with real processes; more interpreters to try it with in `AUTO_LOOP_PYTHONS=/path/python3.9:/path/...`."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_loop.runner import keeper, schema

KEEPER = Path(__file__).resolve().parents[2] / "auto_loop" / "runner" / "keeper.py"
PYTHONS = [sys.executable, *filter(None, os.environ.get("AUTO_LOOP_PYTHONS", "").split(os.pathsep))]
DEADLINE_S = 60


class Attempt:
    """One attempt's files in a folder, and how to keep it."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = python
        self.claim = folder / "a1.claim"
        self.exit = folder / "a1.exit"
        self.inner = folder / "a1.inner"
        self.log = folder / "a1.log"

    def request(self, *argv: str, **more: object) -> dict:
        return {
            "attempt": "a1",
            "token": "tok-1",
            "argv": list(argv),
            "env": {"PATH": os.environ["PATH"], "UMLAUT": "\u00e4\udc80"},
            "cwd": str(self.folder),
            "log_file": str(self.log),
            "claim": str(self.claim),
            "exit": str(self.exit),
            "inner": str(self.inner),
            **more,
        }

    def start(self, *argv: str, pass_fds: tuple[int, ...] = (), **more: object) -> subprocess.Popen:
        file = self.folder / "request.json"
        aside = self.folder / "request.aside"
        aside.write_text(json.dumps(self.request(*argv, **more)))
        aside.rename(file)
        command = [self.python, "-I", "-S", str(KEEPER), str(file)]
        return subprocess.Popen(
            command, start_new_session=True, pass_fds=pass_fds, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def keep(self, *argv: str, **more: object) -> dict:
        """The exit of an attempt that was kept to its end."""
        with self.start(*argv, **more) as keeper:
            assert keeper.wait(DEADLINE_S) == 0
        return json.loads(self.exit.read_text())


@pytest.fixture(params=PYTHONS, ids=[Path(python).name + f"-{number}" for number, python in enumerate(PYTHONS)])
def attempt(request: pytest.FixtureRequest, tmp_path: Path) -> Attempt:
    return Attempt(tmp_path, request.param)


@contextlib.contextmanager
def gate(folder: Path) -> Iterator[tuple[str, Callable[[], str], Callable[[], None]]]:
    """A word of shell that says its pid and then waits, a function that takes that word, and one that lets it go on."""
    said, go = folder / "said", folder / "go"
    os.mkfifo(said)
    os.mkfifo(go)
    held: list[int] = []

    def hear() -> str:
        text = said.read_text()
        held.append(os.open(go, os.O_WRONLY))
        return text

    def release() -> None:
        while held:
            os.close(held.pop())

    try:
        yield f"echo $$ > {said}; read _ < {go}", hear, release
    finally:
        release()


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_command_that_ends_well(attempt: Attempt) -> None:
    ending = attempt.keep("sh", "-c", 'echo "$AUTO_LOOP_TOKEN $AUTO_LOOP_INNER $UMLAUT"; pwd; cat; echo err >&2')
    assert tuple(ending) == schema.EXIT_FIELDS
    expected = {"attempt": "a1", "token": "tok-1", "returncode": 0, "signal": None, "error": None, "leftover": False}
    assert {name: ending[name] for name in expected} == expected
    assert ending["inner"] is None
    assert ending["started_at"] <= ending["leader_ended_at"] <= ending["ended_at"]
    lines = attempt.log.read_bytes().splitlines()
    assert lines == [
        f"tok-1 {attempt.inner} \u00e4\udc80".encode(errors="surrogateescape"),
        str(attempt.folder).encode(),
        b"err",
    ]
    assert {file.name for file in attempt.folder.iterdir()} == {"request.json", "a1.claim", "a1.exit", "a1.log"}


def test_the_claim_names_the_keeper(attempt: Attempt) -> None:
    with gate(attempt.folder) as (waiting, hear, release), attempt.start("sh", "-c", waiting) as keeper:
        hear()
        claim = json.loads(attempt.claim.read_text())
        assert tuple(claim) == schema.CLAIM_FIELDS
        assert (claim["pid"], claim["token"]) == (keeper.pid, "tok-1")
        assert claim["start_time"] == start_time(keeper.pid)
        assert claim["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert not attempt.exit.exists()
        release()


def test_a_claim_or_tombstone_in_the_way_runs_nothing(attempt: Attempt) -> None:
    attempt.claim.write_text("{}")
    with attempt.start("touch", str(attempt.folder / "ran")) as keeper:
        assert keeper.wait(DEADLINE_S) == schema.CLAIM_TAKEN
    assert attempt.claim.read_text() == "{}"
    assert {file.name for file in attempt.folder.iterdir()} == {"request.json", "a1.claim"}


def test_of_many_keepers_one_wins(attempt: Attempt) -> None:
    ran = attempt.folder / "ran"
    keepers = [attempt.start("sh", "-c", f"echo x >> {ran}") for _ in range(6)]
    codes = sorted(keeper.wait(DEADLINE_S) for keeper in keepers)
    assert codes == [0, *[schema.CLAIM_TAKEN] * 5]
    assert ran.read_text() == "x\n"


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"attempt": "a1"}', '{"attempt', "{}"])
def test_a_request_that_cannot_be_read(attempt: Attempt, text: str) -> None:
    (attempt.folder / "request.json").write_text(text)
    command = [attempt.python, "-I", "-S", str(KEEPER), str(attempt.folder / "request.json")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == schema.CANNOT_CLAIM
    assert done.stderr.startswith(b"keeper: no claim could be made")


@pytest.mark.parametrize(
    ("script", "returncode", "number"),
    [("exit 7", 7, None), ("kill -9 $$", -9, 9), ("kill -15 $$", -15, 15), ("exit 137", 137, None)],
)
def test_exit_codes(attempt: Attempt, script: str, returncode: int, number: int | None) -> None:
    ending = attempt.keep("sh", "-c", script)
    assert (ending["returncode"], ending["signal"], ending["error"]) == (returncode, number, None)


def test_commands_that_cannot_start(attempt: Attempt) -> None:
    missing = attempt.keep("no-such-command-here")
    assert missing["returncode"] == 127
    assert "no-such-command-here" in missing["error"]
    attempt.claim.unlink()
    plain = attempt.folder / "plain.txt"
    plain.write_text("x")
    refused = attempt.keep(str(plain))
    assert refused["returncode"] == 126
    assert "Permission" in refused["error"]
    attempt.claim.unlink()
    assert attempt.keep("true", cwd=str(attempt.folder / "nowhere"))["returncode"] == 127


def test_the_command_starts_with_default_signals_and_no_foreign_descriptors(attempt: Attempt) -> None:
    attempt.keep("sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; ls /proc/$$/fd")
    masks, descriptors = attempt.log.read_text().split()[:4], attempt.log.read_text().split()[4:]
    assert [int(mask, 16) & 0x7FFFFFFF for mask in masks[1::2]] == [0, 0]  # above it are libc's own
    assert descriptors == ["0", "1", "2"]


TAKES_SIGTERM = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
open(sys.argv[1], "w").close()
time.sleep({DEADLINE_S})
"""


def test_sigterm_to_the_group_ends_the_job_and_not_the_keeper(attempt: Attempt) -> None:
    said = attempt.folder / "said"
    os.mkfifo(said)
    # No shell: its traps are not taken during a `read`, and are lost between fork and exec.
    keeper = attempt.start(sys.executable, "-S", "-c", TAKES_SIGTERM, str(said))
    said.read_text()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(keeper.pid, number)
    os.killpg(keeper.pid, signal.SIGTERM)
    assert keeper.wait(DEADLINE_S) == 0
    assert json.loads(attempt.exit.read_text())["returncode"] == 5


DAEMON = "(setsid sh -c '(%s) &' &) ; exit 3"


def test_the_exit_waits_for_what_the_command_left_behind(attempt: Attempt) -> None:
    with gate(attempt.folder) as (waiting, hear, release), attempt.start("sh", "-c", DAEMON % waiting) as keeper:
        hear()
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(0.3)
        assert not attempt.exit.exists()
        release()
        assert keeper.wait(DEADLINE_S) == 0
    ending = json.loads(attempt.exit.read_text())
    assert (ending["returncode"], ending["leftover"]) == (3, True)
    assert ending["leader_ended_at"] < ending["ended_at"]


def test_what_lingers_is_killed_when_that_was_asked_for(attempt: Attempt) -> None:
    with gate(attempt.folder) as (waiting, hear, _):
        threading.Thread(target=hear, daemon=True).start()
        ending = attempt.keep("sh", "-c", DAEMON % f"trap '' TERM; {waiting}", linger_s=0.2)
    assert (ending["returncode"], ending["leftover"]) == (3, True)


def test_a_killed_keeper_leaves_its_job_alive(attempt: Attempt) -> None:
    done = attempt.folder / "done"
    os.mkfifo(done)
    script = "%s; echo finished > {done}"
    with gate(attempt.folder) as (waiting, hear, release):
        keeper = attempt.start("sh", "-c", (script % waiting).format(done=done))
        hear()
        keeper.kill()
        assert keeper.wait(DEADLINE_S) == -9
        release()
        assert done.read_text() == "finished\n"
    assert not attempt.exit.exists()


def test_locks_live_as_long_as_the_keeper(attempt: Attempt) -> None:
    lock = attempt.folder / "gpu.lock"
    held = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with gate(attempt.folder) as (waiting, hear, release):
        keeper = attempt.start("sh", "-c", f"ls /proc/$$/fd; {waiting}", pass_fds=(held,), lock_fds=[held])
        hear()
        os.close(held)
        with lock.open() as mine, pytest.raises(BlockingIOError):
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        release()
        assert keeper.wait(DEADLINE_S) == 0
    with lock.open() as mine:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert attempt.log.read_text().split() == ["0", "1", "2"]


def test_the_earliest_cause_of_all_ranks_is_in_the_exit(attempt: Attempt) -> None:
    attempt.inner.write_text(json.dumps({"type": "DistError", "at": 20.5, "traceback": 'a\n\u00e4"', "rank": 0}))
    first = {"type": "OutOfMemory", "at": 10.5, "rank": 1, "exit_code": 1, "signal": None, "message": "x"}
    Path(f"{attempt.inner}.rank1").write_text(json.dumps(first))
    Path(f"{attempt.inner}.rank2").write_text("torn {")
    assert attempt.keep("sh", "-c", "exit 1")["inner"] == first


def test_an_exit_waits_for_room_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tmp_path / f"a1.exit.{os.getpid()}"
    full.symlink_to("/dev/full")
    waits: list[float] = []

    def somebody_makes_room(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            full.unlink()

    monkeypatch.setattr(keeper.time, "sleep", somebody_makes_room)
    keeper.leave(str(tmp_path / "a1.exit"), {"returncode": 0})
    assert json.loads((tmp_path / "a1.exit").read_text()) == {"returncode": 0}
    assert len(waits) == 3
    with pytest.raises(FileNotFoundError):
        keeper.leave(str(tmp_path / "gone" / "a1.exit"), {"returncode": 0})
