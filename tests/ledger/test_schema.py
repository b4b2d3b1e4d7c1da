"""The schema: one from two ways, impossible states refused by SQLite itself, and hot queries that never scan."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from auto_loop.domain.job import JobId, NewAttempt, NewJob
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.migrate import migrate
from auto_loop.ledger.queries import SQL, migration_texts, parse_queries, parse_script, schema_text
from tests.ledger.make import (
    HANDLE,
    LOOP,
    STUDY,
    ending,
    event,
    new_attempt,
    new_job,
    open_study,
    run_attempt,
    slot_state,
    stop_intent,
)

ROOM = Path(__file__).parents[2] / "auto_loop" / "ledger"
HOT = [
    *("tally", "loop", "active_jobs", "queue_head", "attempts_of_job", "open_requests"),
    *("job_starting", "start_attempt", "mark_running", "job_running", "finish_attempt", "job_done"),
    *("record_summary", "record_event", "add_config", "job_requeued", "job_cancelled"),
    *("ask_to_stop", "stop_sent", "record_slot", "drop_slots", "slots"),
    *("ensure_supervisor", "supervisor_left", "supervisor", "ahead_of"),
    *(
        "unfinished_loop",
        "last_loop_number",
        "queued_in_round",
        "waiting_proposals",
        "events",
        "origin_of",
        "answer_request",
    ),
]


def schema_of(raw: sqlite3.Connection) -> dict[str, str]:
    """Every object of a database with its text, spaces and comments aside."""
    rows = raw.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: re.sub(r"\s+", " ", re.sub(r"--.*", "", sql)).strip() for name, sql in rows}


def built(text: str) -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.execute("PRAGMA foreign_keys = ON")
    for statement in parse_script(text):
        raw.execute(statement)
    return raw


def test_a_fresh_schema_equals_the_migrated_one() -> None:
    migrated = sqlite3.connect(":memory:", isolation_level=None)
    migrate(migrated, 0, migration_texts())
    fresh = built(schema_text())
    assert schema_of(fresh) == schema_of(migrated)
    version = "SELECT value FROM meta WHERE key = 'schema_version'"
    assert fresh.execute(version).fetchall() == migrated.execute(version).fetchall() == [(max(migration_texts()),)]


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(migration_texts()) == list(range(1, len(migration_texts()) + 1))


def test_every_query_is_asked_for_somewhere_and_none_is_missing() -> None:
    code = "".join(file.read_text() for file in ROOM.glob("*.py"))
    asked = set(re.findall(r"""_db\.(?:run|rows?)\(\s*"(\w+)\"""", code))
    assert asked == set(SQL)


def test_a_query_file_with_a_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_queries("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;")
    with pytest.raises(ValueError, match="without a name"):
        parse_queries("SELECT 1;")
    with pytest.raises(ValueError, match="unfinished"):
        list(parse_script("CREATE TABLE a (b)"))


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_query_is_valid(name: str) -> None:
    plan_of(name)


def plan_of(name: str) -> list[str]:
    values = dict.fromkeys(re.findall(r":(\w+)", SQL[name]), 1)
    return [str(row[3]) for row in built(schema_text()).execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_neither_scans_nor_sorts(name: str) -> None:
    assert [step for step in plan_of(name) if re.match(r"SCAN (?!CONSTANT)|USE TEMP B-TREE", step)] == []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("queue_head", "job_queue"),
        ("active_jobs", "job_active"),
        ("open_requests", "request_open"),
        ("ahead_of", "job_queue"),
    ],
)
def test_what_is_open_is_found_by_an_index_of_the_open(name: str, index: str) -> None:
    assert any(index in step for step in plan_of(name))


def steps_of(ledger: Ledger, call: Callable[[], object]) -> int:
    """How many instructions SQLite's machine runs for a call: a cost without a clock."""
    count = 0

    def one_more() -> int:
        nonlocal count
        count += 1
        return 0

    raw = ledger.reading._db._raw
    raw.set_progress_handler(one_more, 1)
    call()
    raw.set_progress_handler(None, 0)
    return count


def finished(ledger: Ledger, prefix: str, count: int) -> None:
    with ledger.transaction():
        for number in range(count):
            ledger.finish_attempt(run_attempt(ledger, ledger.add_job(new_job(f"{prefix}{number}"))), ending())


def hand_off(ledger: Ledger, prefix: str) -> None:
    """What the loop commits when a job ends and the next takes its slot."""
    old, new = (ledger.add_job(new_job(f"{prefix}{number}")) for number in range(2))
    attempt = run_attempt(ledger, old)
    ledger.ask_to_stop(attempt, stop_intent())
    ledger.stop_sent([attempt])
    with ledger.transaction():
        ledger.finish_attempt(attempt, ending())
        ledger.record_slots(LOOP, [slot_state(0), slot_state(1, "nothing is queued")], anew=True)
        started = ledger.start_attempt(new_attempt(new))
        ledger.mark_running(started, HANDLE, 1.0)
        ledger.record_event(event("job started", new))
    ledger.finish_attempt(started, ending())


def test_the_cost_of_a_snapshot_and_of_a_hand_off_does_not_follow_the_study_s_length(tmp_path: Path) -> None:
    ledger = open_study(tmp_path / "ledger.sqlite3")

    def costs(prefix: str) -> tuple[int, int]:
        read = steps_of(ledger, lambda: ledger.reading.snapshot(STUDY, LOOP, 8))
        return read, steps_of(ledger, lambda: hand_off(ledger, prefix))

    hand_off(ledger, "first")
    finished(ledger, "few", 20)
    few_read, few_written = costs("next")
    finished(ledger, "many", 1500)
    many_read, many_written = costs("last")
    assert many_read == few_read
    assert many_written <= few_written * 1.1


GIVEN = "job, loop, gpus, token, command, output_dir, log_file, claim_file, exit_file, request, created_at"
GIVEN_OF_B = GIVEN.replace("job", "(SELECT id FROM job WHERE name = 'b')")
IMPOSSIBLE = {
    "done without an outcome": "UPDATE job SET state = 'done'",
    "an outcome without done": "UPDATE job SET outcome = 'failed'",
    "an unknown state": "UPDATE job SET state = 'paused'",
    "an unknown outcome": "UPDATE job SET state = 'done', outcome = 'fine'",
    "a cause of a job that was not cancelled": "UPDATE job SET cause = 'why'",
    "a job without a config": "UPDATE job SET config = 'none such'",
    "a job of no loop": "UPDATE job SET loop = 5",
    "a job without a name": "UPDATE job SET name = ''",
    "a deleted job": "DELETE FROM job",
    "a number that is text": "UPDATE job SET round = 'one'",
    "an ended attempt without an outcome": "UPDATE attempt SET ended_at = 1.0",
    "an open attempt with an exit code": "UPDATE attempt SET returncode = 0",
    "a handle without a start": "UPDATE attempt SET launcher = 'local'",
    "a start without a whole handle": "UPDATE attempt SET started_at = 1.0, launcher = 'local'",
    "a second open attempt of a job": f"INSERT INTO attempt ({GIVEN}, number, slot) SELECT {GIVEN}, 2, 9 FROM attempt",
    "a second open attempt on a slot": f"INSERT INTO attempt ({GIVEN}, number, slot) SELECT {GIVEN_OF_B}, 1, slot"
    " FROM attempt",
    "a cause of a stop that nobody asked for": "UPDATE attempt SET stop_cause = 'person'",
    "words of a stop that nobody asked for": "UPDATE attempt SET stop_text = 'enough'",
    "a grace of a stop that nobody asked for": "UPDATE attempt SET stop_grace = 30.0",
    "a stop without a cause": "UPDATE attempt SET stop_at = 1.0, stop_grace = 30.0",
    "a stop without a grace": "UPDATE attempt SET stop_at = 1.0, stop_cause = 'person'",
    "a stop sent that nobody asked for": "UPDATE attempt SET stop_sent = 1",
    "a stop sent twice": "UPDATE attempt SET stop_at = 1.0, stop_cause = 'person', stop_grace = 1.0, stop_sent = 2",
    "a failure of an open attempt": "UPDATE attempt SET failure = 'crash'",
    "a failure of a success": "UPDATE attempt SET failure = 'crash', ended_at = 1.0, outcome = 'succeeded'",
    "a supervisor of no study": "INSERT INTO supervisor SELECT 'none such', 'node1', 'b00t', 1, 1, 1.0, NULL",
    "a slot of no loop": "INSERT INTO slot SELECT 5, 0, 'GPU 0', '[]', '[]', '', 1.0",
    "a slot below the first": f"INSERT INTO slot SELECT {LOOP}, -1, 'GPU 0', '[]', '[]', '', 1.0",
    "a slot whose number is text": f"INSERT INTO slot SELECT {LOOP}, 'one', 'GPU 0', '[]', '[]', '', 1.0",
    "an end of a loop without a reason": "UPDATE loop SET ended_at = 1.0",
    "an answer without a time": "UPDATE request SET answer = 'yes'",
    "a tally that does not add up": "UPDATE tally SET jobs = 7",
}


@pytest.mark.parametrize("statement", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_state_cannot_be_written(tmp_path: Path, statement: str) -> None:
    ledger = open_study(tmp_path / "ledger.sqlite3")
    ledger.start_attempt(new_attempt(ledger.add_job(new_job("a"))))
    ledger.add_job(new_job("b"))
    ledger.requests.add(STUDY, "stop")
    with pytest.raises(sqlite3.IntegrityError):
        ledger.reading._db._raw.execute(statement)


def test_every_field_of_a_new_job_and_attempt_has_its_column() -> None:
    raw = built(schema_text())
    columns = {table: {row[1] for row in raw.execute(f"PRAGMA table_info({table})")} for table in ("job", "attempt")}
    assert set(NewAttempt.__dataclass_fields__) <= columns["attempt"]
    assert set(NewJob.__dataclass_fields__) - {"study", "origin"} <= columns["job"]
    assert JobId(1) == 1
