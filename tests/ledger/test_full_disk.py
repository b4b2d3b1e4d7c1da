"""A disk that really is full: a memory disk of one mebibyte, in a mount namespace of the child process alone.

The child is this module itself: `python -m tests.ledger.test_full_disk SCENARIO FOLDER` says as JSON what it saw.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from auto_loop.domain.errors import AutoLoopError, DiskFullError
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from tests.ledger.make import LOOP, STUDY, ending, event, new_job, open_ledger, open_study, run_attempt

ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")


def take_all_room(folder: Path) -> None:
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def make_room(folder: Path) -> None:
    (folder / "filler").unlink()


def error_of(call: Callable[[], object]) -> tuple[str, str]:
    try:
        call()
    except (AutoLoopError, RuntimeError) as error:
        return type(error).__name__, str(error)
    return "", ""


def states(reading: Reading) -> dict[str, str]:
    return {job.name: job.state.value for job in reading.history(STUDY).jobs}


def turn_without_room(folder: Path) -> object:
    """A hand-off that finds no room, and again when there is some."""
    ledger = open_study(folder / "ledger.sqlite3")
    attempt = run_attempt(ledger, ledger.add_job(new_job("old")))

    def hand_off() -> None:
        with ledger.transaction():
            ledger.finish_attempt(attempt, ending())
            run_attempt(ledger, ledger.add_job(new_job("new")))
            ledger.record_event(event("job started"))

    take_all_room(folder)
    errors = [error_of(hand_off) for _ in range(3)]
    seen = [states(ledger.reading), states(Reading.open(folder / "ledger.sqlite3"))]
    make_room(folder)
    hand_off()
    return {"errors": errors, "seen": seen, "after": states(ledger.reading), "events": len(ledger.reading.events(LOOP))}


def room_in_the_middle(folder: Path) -> object:
    """The room runs out within a transaction that swallows it, and is back before its last call."""
    ledger = open_study(folder / "ledger.sqlite3")
    ledger.add_job(new_job("before"))
    inner: list[tuple[str, str]] = []

    def swallowing() -> None:
        with ledger.transaction():
            ledger.add_job(new_job("first half"))
            inner.append(error_of(lambda: fill(ledger)))
            make_room(folder)
            inner.append(error_of(lambda: ledger.add_job(new_job("second half"))))

    take_all_room(folder)
    outer = error_of(swallowing)
    return {"inner": inner, "outer": outer, "after": states(Reading.open(folder / "ledger.sqlite3"))}


def fill(ledger: Ledger) -> None:
    for _ in range(5000):
        ledger.record_event(event("long " * 1000))


def opened_without_room(folder: Path) -> object:
    """A ledger opened, and a new one made, where there is no room for either."""
    file = folder / "ledger.sqlite3"
    with open_study(file) as ledger:
        ledger.add_job(new_job("before"))
    take_all_room(folder)
    openings = (lambda: open_ledger(file), lambda: Reading.open(file), lambda: open_ledger(folder / "new.sqlite3"))
    errors = [error_of(opening) for opening in openings]
    make_room(folder)
    open_ledger(folder / "new.sqlite3").close()
    return {"errors": errors, "after": states(open_ledger(file).reading)}


SCENARIOS = {each.__name__: each for each in (turn_without_room, room_in_the_middle, opened_without_room)}


def on_a_small_disk(folder: Path, scenario: Callable[[Path], object]) -> Any:
    """What the scenario saw on a disk of its own that is mounted at `folder`."""
    mounted = (*OWN_MOUNTS, str(folder))
    possible = shutil.which("unshare") is not None
    if not possible or subprocess.run((*mounted, "true"), check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a memory disk in a namespace of his own")
    command = (*mounted, sys.executable, "-m", __name__, scenario.__name__, str(folder))
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_turn_without_room_writes_nothing_and_is_done_when_there_is_some(tmp_path: Path) -> None:
    saw = on_a_small_disk(tmp_path, turn_without_room)
    for kind, message in saw["errors"]:
        assert kind == DiskFullError.__name__
        assert "ledger.sqlite3: the disk is full: the last change was not written" in message
        assert "make room" in message
    assert saw["seen"] == [{"old": "running"}] * 2, "who asks is answered meanwhile"
    assert (saw["after"], saw["events"]) == ({"old": "done", "new": "running"}, 1)


def test_after_a_full_disk_nothing_more_of_the_transaction_is_written(tmp_path: Path) -> None:
    saw = on_a_small_disk(tmp_path, room_in_the_middle)
    assert [kind for kind, _ in saw["inner"]] == [DiskFullError.__name__, "RuntimeError"]
    assert saw["outer"][0] == "RuntimeError"
    assert "none of it was written" in saw["outer"][1]
    assert saw["after"] == {"before": "queued"}


def test_a_ledger_that_cannot_be_opened_for_want_of_room_says_so_and_opens_later(tmp_path: Path) -> None:
    saw = on_a_small_disk(tmp_path, opened_without_room)
    assert [kind for kind, _ in saw["errors"]] == [DiskFullError.__name__] * 3
    assert all("the disk is full" in message for _, message in saw["errors"])
    assert saw["after"] == {"before": "queued"}


if __name__ == "__main__":
    print(json.dumps(SCENARIOS[sys.argv[1]](Path(sys.argv[2]))))
