"""Damaged ledgers: whatever bytes are flipped or cut off, there is an answer or one clear error, and the file stays."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.job import JobState
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from tests.scenario.harness import World

STUDY = "pack"
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True, slots=True, repr=False)
class Original:
    """A real ledger, and the same one as a kill leaves it: with its last commits in the -wal only."""

    whole: bytes
    main: bytes
    wal: bytes


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    root = tmp_path_factory.mktemp("project")
    world = World(root=root)
    world.run(cfgs=world.configs(3), decide=True, rounds=2, concurrency=2)
    file = root / "outputs/ledger.sqlite3"
    whole = file.read_bytes()
    main, wal = in_two_files(file, root / "copy.sqlite3")
    assert len(wal) > 4096
    return Original(whole, main, wal)


def in_two_files(file: Path, copy: Path) -> tuple[bytes, bytes]:
    """The ledger and its -wal, copied while a connection that has just written holds both open."""
    shutil.copy(file, copy)
    with closing(Ledger.open(copy, lambda: 1.0)) as ledger:
        for number in range(8):
            ledger.open_loop(STUDY, 9_000_000_000 + number, {"n": number})
            ledger.close_loop(STUDY, 9_000_000_000 + number, "done")
        return copy.read_bytes(), copy.with_name(copy.name + "-wal").read_bytes()


def read_all(file: Path) -> None:
    """Every question that the views, the reports and a new supervisor ask."""
    with closing(Reading.open(file)) as reading:
        for study in reading.studies():
            history = reading.history(study.name)
            reading.open_jobs(study.name)
            reading.unread_jobs(study.name)
            reading.unfinished_loop(study.name)
            reading.supervisor(study.name)
            for loop in history.loops:
                reading.snapshot(study.name, loop.number, 8)
                reading.tried(study.name, loop.number)
                reading.outcomes(loop.number)
                reading.rounds(study.name, loop.number)
                reading.decisions.waiting(loop.number)
                reading.events(loop.number)
                reading.slots(loop.number)
            for job in history.jobs:
                reading.job(job.id)
                reading.summary(job.id)
                reading.job_named(job.name)
                for attempt in job.attempts:
                    reading.request_of(attempt.id)


def write_a_job(file: Path) -> None:
    """What a supervisor does first: open the ledger and begin a loop."""
    with closing(Ledger.open(file, lambda: 1.0)) as ledger:
        ledger.ensure_study(STUDY, "pack", "script")
        ledger.open_loop(STUDY, ledger.last_loop_number() + 1, {})


def answers_or_refuses(act: Callable[[Path], None], file: Path) -> None:
    """Any other exception goes up, and fails the test."""
    said = "the ledger answered"
    try:
        act(file)
    except AutoLoopError as error:
        said = str(error)
    assert "ledger" in said or "study" in said


@st.composite
def flips(draw: st.DrawFn) -> list[tuple[float, int]]:
    """Where (as a share of the file) and what to write there."""
    place = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=40))


def flipped(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    return bytes(damaged)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def laid(folder: Path, main: bytes, wal: bytes | None = None) -> Path:
    """The files as if a supervisor had just died over them; what an example before left is taken away."""
    file = folder / "ledger.sqlite3"
    for suffix in ("-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    file.write_bytes(main)
    if wal is not None:
        file.with_name(file.name + "-wal").write_bytes(wal)
    return file


@QUICK
@given(changes=flips(), act=st.sampled_from([read_all, write_a_job]))
def test_flipped_bytes(
    original: Original, folder: Path, changes: list[tuple[float, int]], act: Callable[[Path], None]
) -> None:
    file = laid(folder, flipped(original.whole, changes))
    answers_or_refuses(act, file)
    assert file.stat().st_size > 0


@QUICK
@given(share=st.floats(0, 1), act=st.sampled_from([read_all, write_a_job]))
def test_a_ledger_cut_short(original: Original, folder: Path, share: float, act: Callable[[Path], None]) -> None:
    cut = original.whole[: int(share * len(original.whole))]
    file = laid(folder, cut)
    answers_or_refuses(act, file)
    assert file.read_bytes()[: len(cut)] == cut or act is write_a_job or not cut


@QUICK
@given(changes=flips(), share=st.floats(0, 1))
def test_of_a_damaged_wal_whole_commits_remain_and_nothing_else(
    original: Original, folder: Path, changes: list[tuple[float, int]], share: float
) -> None:
    """SQLite's own checksums end the -wal at the first damaged frame: what is read is what was true at some commit."""
    damaged = flipped(original.wal, changes)
    file = laid(folder, original.main, damaged[: int(share * len(damaged)) or 1])
    with closing(Reading.open(file)) as reading:
        history = reading.history(STUDY)
    numbers = [loop.number for loop in history.loops if loop.number >= 9_000_000_000]
    assert numbers == [9_000_000_000 + number for number in range(len(numbers))]
    assert all(loop.end_reason for loop in history.loops[:-1])
    assert all(job.state is JobState.DONE for job in history.jobs)


@given(garbage=st.binary(min_size=2, max_size=3000))
@QUICK
def test_garbage_in_place_of_a_ledger_is_refused_and_left_alone(folder: Path, garbage: bytes) -> None:
    file = laid(folder, garbage)
    answers_or_refuses(read_all, file)
    assert file.read_bytes() == garbage


@QUICK
@given(data=st.data())
def test_columns_with_the_wrong_text(original: Original, folder: Path, data: st.DataObject) -> None:
    """What a foreign hand could write: text that is no JSON, a word that is no state."""
    file = laid(folder, original.whole)
    table, column = data.draw(st.sampled_from(TEXT_COLUMNS))
    text = data.draw(
        st.sampled_from(["", "{", "[1", "null", "7", '"x"', "[[]]", '{"a": {}}', "[null]", "\x00", "nonsense"])
    )
    with closing(sqlite3.connect(file)) as raw:
        try:
            raw.execute(f"UPDATE {table} SET {column} = ?", (text,))
        except sqlite3.IntegrityError:
            return  # the schema itself holds that door
        raw.commit()
    answers_or_refuses(read_all, file)


TEXT_COLUMNS = (
    ("loop", "flags"),
    ("config", "text"),
    ("job", "changes"),
    ("job", "notes"),
    ("job", "state"),
    ("attempt", "gpus"),
    ("attempt", "command"),
    ("attempt", "request"),
    ("attempt", "outcome"),
    ("attempt", "failure"),
    ("attempt", "stop_cause"),
    ("summary", "metrics"),
    ("summary", "notes"),
    ("proposal", "verdict"),
    ("proposal", "changes"),
    ("proposal", "evidence"),
    ("proposal", "edits"),
    ("event", "detail"),
)
