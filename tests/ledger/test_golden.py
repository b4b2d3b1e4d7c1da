"""Ledgers of every schema version so far load for ever, and say what they said."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from auto_loop.ledger.migrate import migrate
from auto_loop.ledger.queries import migration_texts
from tests.golden.ledger.make import FOLDER, content, fill
from tests.ledger.make import open_study
from tests.ledger.test_schema import schema_of

GOLDEN = sorted(FOLDER.glob("v*.sqlite3"), key=lambda file: int(file.stem[1:]))


def test_there_is_a_golden_ledger_of_every_version() -> None:
    assert [file.stem for file in GOLDEN] == [f"v{version}" for version in migration_texts()]


def still_said(before: object, now: object) -> bool:
    """Whether all of `before` is in `now`; a newer value may have more fields."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and still_said(value, now[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(still_said, before, now))
    return before == now


def assert_still_said(golden: Path, now: object) -> None:
    before = json.loads(golden.with_suffix(".json").read_text(encoding="utf-8"))
    assert sum(len(history["jobs"]) for history in before["histories"]) == 7
    if not still_said(before, now):
        assert now == before, "the difference, as pytest shows it"


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
def test_an_old_ledger_loads_and_says_what_it_said(tmp_path: Path, golden: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    shutil.copy(golden, file)
    assert_still_said(golden, content(file))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
def test_the_migrations_up_to_a_version_still_make_its_schema(golden: Path) -> None:
    made = sqlite3.connect(":memory:", isolation_level=None)
    version = int(golden.stem[1:])
    migrate(made, 0, {number: text for number, text in migration_texts().items() if number <= version})
    kept = sqlite3.connect(f"{golden.as_uri()}?mode=ro", uri=True)
    assert schema_of(made) == schema_of(kept)


def test_the_newest_golden_ledger_is_what_its_script_makes(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    with open_study(file) as ledger:
        fill(ledger)
    assert_still_said(GOLDEN[-1], content(file))
