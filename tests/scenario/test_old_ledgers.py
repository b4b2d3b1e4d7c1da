"""Unfinished loops of older ledgers, from before decisions were kept, are gone on with to their end."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.job import JobState
from tests.golden.ledger.make import FOLDER
from tests.scenario.harness import World
from tests.scenario.test_storm import NoReport


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("version", [1, 2])
def test_an_unfinished_loop_of_an_older_ledger_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, repeats: int
) -> None:
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    world = World(root=tmp_path)
    ledger = tmp_path / "outputs" / "ledger.sqlite3"
    ledger.parent.mkdir()
    shutil.copyfile(FOLDER / f"v{version}.sqlite3", ledger)
    flags = {"rounds": 3, "decide": True, "repeats": repeats, "cfgs": ["train_configs/base.json"], "device": "cpu"}
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("UPDATE loop SET flags = ? WHERE study = 'act_ot'", (json.dumps(flags),))
        rows = db.execute("SELECT job.cfg_file, config.text FROM job JOIN config ON config.fingerprint = job.config")
        for file, text in rows:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(json.dumps({"lr": 0.1, "seed": 3, **json.loads(text)}))
        db.commit()
    world.run(resume=True, study="act_ot", take_over=True)
    history = world.history("act_ot")
    assert history.loops[0].ended_at is not None
    assert all(job.state is JobState.DONE for job in history.jobs)
    rounds = [one.round for one in history.decisions if one.kind is DecisionKind.ROUND]
    assert rounds[0] == 2, "round 1 was decided by then"
    assert rounds == sorted(set(rounds))
