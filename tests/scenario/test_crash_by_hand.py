"""Deaths that random kills would hardly hit, each by hand, with real processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.job import Outcome
from auto_loop.ledger.reading import Reading
from tests.scenario.crash.books import audit
from tests.scenario.crash.evidence import gather, keepers, lines, of_night
from tests.scenario.crash.faults import KILLED, RESUME, begin, supervise
from tests.scenario.crash.night import Kind, Night, holds_ledger, kill_quietly

DEADLINE_S = 60.0
HURRY = 20.0


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    made = Night(root=tmp_path / "night", kind=Kind(kills=0, seed=5, rounds=2, round_size=3, quick=0.3, slow=0.8))
    yield made
    for pid in of_night(made.diary):  # there only when a test failed
        kill_quietly(pid)


def start(night: Night, options: list[str]) -> subprocess.Popen[bytes]:
    with night.log.open("ab") as log:
        command = [sys.executable, "-m", "auto_loop.autorun", *options]
        return subprocess.Popen(
            command, cwd=night.root, env=night.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def started(night: Night) -> int:
    return sum(line.what == "start" for line in lines(night.diary))


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def comes_to_its_end(night: Night) -> None:
    """A resume ends well, and the books are clean."""
    assert start(night, night.resuming()).wait(DEADLINE_S) == 0, night.log.read_text()
    clean(night)


def clean(night: Night) -> None:
    night.listen()
    faults = audit(gather(night.root, night.diary, night.cries)).faults
    assert {kind: found for kind, found in faults.items() if found} == {}


def test_twice_in_a_row_within_a_tenth_of_a_second(night: Night) -> None:
    first = start(night, night.beginning())
    until(lambda: started(night) == 2)
    killed(first)
    for _ in range(2):
        again = start(night, night.resuming())
        until(lambda: holds_ledger(again.pid))  # noqa: B023 (it is called here and now)
        time.sleep(0.03)
        killed(again)
    comes_to_its_end(night)


def test_while_its_report_is_drawn(night: Night) -> None:
    """The child that draws is left alone, and comes to its end by itself."""
    supervisor = start(night, night.beginning())
    until(lambda: any(" report " in words for words in of_night(night.diary).values()))
    killed(supervisor)
    code = start(night, night.resuming()).wait(DEADLINE_S)
    assert code in (0, 2), night.log.read_text()  # 2: only the report was missing
    clean(night)


def test_a_report_whose_drawing_is_killed_spoils_nothing(night: Night) -> None:
    supervisor = start(night, night.beginning())
    while supervisor.poll() is None:
        for pid, words in of_night(night.diary).items():
            if " report " in words:
                kill_quietly(pid)
        time.sleep(0.005)
    assert supervisor.returncode == 0
    assert "could not be drawn" in night.log.read_text()
    clean(night)


def test_suspended_for_a_while_and_woken_again(night: Night) -> None:
    """Nobody may take its study meanwhile, and it finds what ended while it slept."""
    supervisor = start(night, night.beginning())
    until(lambda: started(night) == 2)
    supervisor.send_signal(signal.SIGSTOP)
    until(lambda: sum(line.what == "end" for line in lines(night.diary)) == 2)
    other = start(night, night.resuming())
    assert other.wait(DEADLINE_S) == 3
    assert started(night) == 2
    supervisor.send_signal(signal.SIGCONT)
    assert supervisor.wait(DEADLINE_S) == 0
    clean(night)


def test_in_the_middle_of_writing_the_next_config(night: Night) -> None:
    """Before its rename: the next supervisor writes it again, and under the same name."""

    def die_in_rename(around: Surroundings) -> Surroundings:
        real = os.replace

        def fatal(source: object, target: object) -> None:
            if str(target).endswith(".json") and "c0_" in str(target):
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)  # type: ignore[arg-type] # as it was called

        os.replace = fatal  # type: ignore[assignment] # in this fork alone
        return around

    assert supervise(night, begin(night), change=die_in_rename) == KILLED
    assert supervise(night, RESUME) == 0
    books = audit(gather(night.root, night.diary, night.cries))
    assert {kind for kind, found in books.faults.items() if found} <= {"files left aside"}
    assert books.results == books.executions == 4


def test_a_restart_of_the_machine_loses_what_ran_and_runs_it_again(night: Night) -> None:
    """A restart leaves claims and handles of another boot, and none of their processes."""
    supervisor = start(night, night.beginning())
    until(lambda: started(night) == 2)
    killed(supervisor)
    restart(night)
    code = supervise(night, RESUME, change=hurried)
    assert code == 0, night.log.read_text()
    with closing(Reading.open(night.root / "outputs/ledger.sqlite3")) as reading:
        jobs = reading.history("pack").jobs
    lost = [attempt for job in jobs for attempt in job.attempts if attempt.outcome is Outcome.LOST]
    assert [attempt.number for attempt in lost] == [1, 1]
    assert all(job.outcome is Outcome.SUCCEEDED for job in jobs)
    books = audit(gather(night.root, night.diary, night.cries), may_lose_attempts=True)
    assert {kind: found for kind, found in books.faults.items() if found} == {}
    assert books.executions == books.results + 2


def restart(night: Night) -> None:
    """All processes are gone at once, and what was written of them is of an earlier boot."""
    tokens = {line.token for line in lines(night.diary)}
    for pid in [*keepers(night.root), *of_night(night.diary)]:
        kill_quietly(pid)
    until(lambda: not of_night(night.diary))
    assert len(tokens) == 2
    with closing(sqlite3.connect(night.root / "outputs/ledger.sqlite3")) as raw:
        raw.execute("UPDATE attempt SET boot_id = 'before' WHERE boot_id IS NOT NULL")
        raw.commit()
    for claim in (night.root / ".codex_tmp/attempts").glob("*.claim"):
        claim.write_text(claim.read_text().replace(boot_id(), "before"))


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def hurried(around: Surroundings) -> Surroundings:
    """A clock that runs faster, so that a back-off is soon over."""
    began = time.time()
    return replace(around, clock=lambda: began + (time.time() - began) * HURRY)
