"""Several processes on one file, and a process that is killed at a commit."""

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from auto_loop.domain.job import JobState, Outcome
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.migrate import migrate, schema_version
from auto_loop.ledger.queries import migration_texts
from tests.ledger.make import HANDLE, LOOP, STUDY, Ticks, ending, event, new_attempt, new_job, open_study, run_attempt

SPAWN = multiprocessing.get_context("spawn")
COMMITS = 40


def write_a_study(file: Path, number: int, gate: "multiprocessing.synchronize.Barrier") -> None:
    gate.wait(timeout=60)
    with Ledger.open(file, Ticks()) as ledger:
        ledger.ensure_study(f"study{number}", "default", "script")
        ledger.open_loop(f"study{number}", LOOP + number, {})
        for commit in range(COMMITS):
            with ledger.transaction():
                seen = ledger.requests.add(f"study{number}", "count", {"commit": commit})
                ledger.requests.answer(seen, "counted")


def test_several_processes_make_and_write_one_new_ledger(tmp_path: Path) -> None:
    file, gate = tmp_path / "ledger.sqlite3", SPAWN.Barrier(3)
    writers = [SPAWN.Process(target=write_a_study, args=(file, number, gate)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with Ledger.open(file, Ticks()) as ledger:
        assert {study.name for study in ledger.reading.studies()} == {"study0", "study1", "study2"}
        count = ledger.reading._db._raw.execute("SELECT count(*), sum(answer = 'counted') FROM request").fetchone()
    assert tuple(count) == (3 * COMMITS, 3 * COMMITS)


def die_at(file: Path, moment: str) -> None:
    """Hand a slot from one job to the next, and be killed at `moment` of that commit."""
    armed = False

    def fault(seen: str) -> None:
        if armed and seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger = Ledger.open(file, Ticks(), fault)
    old, new = (job.id for job in ledger.reading.history(STUDY).jobs)
    attempt = run_attempt(ledger, old)
    armed = True
    with ledger.transaction():
        ledger.finish_attempt(attempt, ending())
        fault("between")
        started = ledger.start_attempt(new_attempt(new))
        ledger.mark_running(started, HANDLE, 1.0)
        ledger.record_event(event("job started", new))


@pytest.mark.parametrize("moment", ["between", "before commit", "after commit"])
def test_a_killed_writer_leaves_its_last_commit_whole(tmp_path: Path, moment: str) -> None:
    file = tmp_path / "ledger.sqlite3"
    with open_study(file) as ledger:
        ledger.add_job(new_job("old"))
        ledger.add_job(new_job("new"))
    victim = SPAWN.Process(target=die_at, args=(file, moment))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    with Ledger.open(file, Ticks()) as ledger:
        old, new = ledger.reading.history(STUDY).jobs
        events = ledger.reading.events(LOOP)
    if moment == "after commit":
        assert (old.outcome, new.state, len(events)) == (Outcome.SUCCEEDED, JobState.RUNNING, 1)
    else:
        assert (old.state, new.state, len(events)) == (JobState.RUNNING, JobState.QUEUED, 0)


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    open_study(file).close()
    raw = sqlite3.connect(file, isolation_level=None)
    newest = max(migration_texts())
    counted = f"UPDATE meta SET value = {newest + 1} WHERE key = 'schema_version'"
    step = f"ALTER TABLE job ADD COLUMN extra TEXT;\n{counted};\nBROKEN;"
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        migrate(raw, newest, {newest: "", newest + 1: step})
    raw.close()
    raw = sqlite3.connect(file, isolation_level=None)
    assert schema_version(raw, file) == newest
    assert "extra" not in {row[1] for row in raw.execute("PRAGMA table_info(job)")}


def test_the_fault_hook_sees_each_durable_commit_once(tmp_path: Path) -> None:
    file, seen = tmp_path / "ledger.sqlite3", []
    open_study(file).close()
    ledger = Ledger.open(file, Ticks(), seen.append)
    with ledger.transaction():
        ledger.add_job(new_job("a"))
        ledger.add_job(new_job("b"))
    ledger.reading.history(STUDY)
    ledger.record_event(event("alone"))
    assert seen == ["before commit", "after commit"] * 2
