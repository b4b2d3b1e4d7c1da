"""`auto-loop replay`, called in projects whose ledgers were really written, today's and old ones."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auto_loop.assembly import replay_ground
from auto_loop.cli.main import main
from auto_loop.domain.job import Origin
from auto_loop.ledger.ledger import Ledger
from tests.ledger.make import new_job
from tests.scenario import test_replay as loops
from tests.scenario.harness import World

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger"
world = loops.world  # the fixture


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["replay", *words], catch_exceptions=False)


@pytest.fixture
def project(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project in which a loop has ended, and we stand in it."""
    loops.run(world)
    monkeypatch.chdir(world.root)
    return world


def test_a_study_that_comes_out_again_ends_with_0(project: World) -> None:
    result = call("pack")
    assert result.exit_code == 0
    assert "2 given by a person, 6 derived again and equal; 3 decisions made again" in result.output
    assert "All 6 derived configs came out again, byte for byte." in result.output


def test_a_difference_ends_with_1_and_is_named_with_both_values(project: World) -> None:
    row = project.history().jobs[2]
    loops.change(project, "UPDATE job SET changes = ? WHERE id = ?", '["lr@mul=0.4"]', row.id)
    result = call("pack")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f'job {row.id} {row.name}, decision 1: edits at 0 kept "lr@mul=0.4" derived "lr@mul=0.5"' in said
    assert said.endswith("1 difference.")
    found = json.loads(call("pack", "--json").output)
    assert found["equal"] is False
    assert found["differences"] == [
        {
            "what": "edits",
            "job": row.name,
            "job_id": row.id,
            "parent": None,
            "parent_id": None,
            "decision": 1,
            "path": "0",
            "kept": "lr@mul=0.4",
            "derived": "lr@mul=0.5",
        }
    ]


def test_a_study_that_is_not_there_is_a_misuse(project: World) -> None:
    result = call("nothing")
    assert result.exit_code == 2
    assert "there is no study nothing (there: pack)" in result.output


def test_several_processes_find_the_same(project: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loops.change(project, "UPDATE proposal SET reason = 'another' WHERE id = 1")
    alone = json.loads(call("pack", "--json").output)
    monkeypatch.setattr(replay_ground, "_LONG", 1)
    assert json.loads(call("pack", "--json").output) == alone
    assert alone["equal"] is False


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_ledger_says_that_decisions_were_not_kept(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(GOLDEN / f"v{version}.sqlite3", tmp_path / "old.sqlite3")
    monkeypatch.chdir(tmp_path)
    result = call("act_ot", "--ledger", "old.sqlite3")
    assert result.exit_code == 0
    assert "6 given by a person, 0 derived again" in result.output
    assert "decisions were not kept when this study ran" in result.output
    assert "1 config could not be derived" in result.output


def test_a_pack_that_cannot_be_read_any_more_is_said_of_its_configs(project: World) -> None:
    ledger = project.root / loops.LEDGER
    with closing(sqlite3.connect(ledger)) as db:
        (text,) = db.execute("SELECT text FROM rulebook").fetchone()
        broken = text.replace("when = ", "whom = ")
        db.execute("PRAGMA foreign_keys = OFF")
        own = replay_ground.sha256(broken.encode()).hexdigest()
        db.execute("UPDATE rulebook SET text = ?, fingerprint = ?", (broken, own))
        db.execute("UPDATE decision SET rulebook = ?", (own,))
        db.commit()
    result = call("pack")
    assert result.exit_code == 0, result.output
    assert "6 not derived: this program cannot read the kept rulebook any more" in result.output


def test_variants_that_a_person_made_come_out_of_their_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", lambda: 1.7e9) as ledger:
        ledger.ensure_study("act_ot", "act_ot", "act_ot")
        ledger.open_loop("act_ot", 1, {})
        base = new_job("base", loop=1)
        ledger.add_job(base)
        data = base.config.data()
        for name, parent_cfg in (("known", base.cfg_file), ("unknown", "elsewhere.json")):
            config = type(base.config).of({**data, "extra": 1})
            origin = Origin(parent_cfg=parent_cfg, proposer="person", reason="to see", changes=("extra@set=1",))
            ledger.add_job(replace(new_job(name, loop=1, origin=origin), config=config))
    result = call("act_ot")
    assert result.exit_code == 0, result.output
    assert "1 given by a person, 1 derived again and equal" in result.output
    assert "1 not derived: its parent's config is not in the ledger" in result.output
