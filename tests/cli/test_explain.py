"""`auto-loop explain`, called in a project whose ledger was really written."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auto_loop.cli.main import main
from auto_loop.domain.job import Origin
from auto_loop.ledger.ledger import Ledger
from tests.ledger.make import new_job
from tests.scenario import test_replay as loops
from tests.scenario.harness import World

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger"
world = loops.world  # the fixture


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["explain", *words], catch_exceptions=False)


@pytest.fixture
def project(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    loops.run(world)
    monkeypatch.chdir(world.root)
    return world


def test_a_job_is_named_by_its_name_or_its_number(project: World) -> None:
    job = project.history().jobs[2]
    assert call(str(job.id)).output == call(job.name).output
    assert call(job.name).output == call(job.name, "--study", "pack").output
    assert call(job.name).output.startswith(f"{job.name}: job {job.id} of study pack")


def test_the_json_has_all_that_the_text_says(project: World) -> None:
    job = next(one for one in project.history().jobs if one.origin.rule == "far up")
    found = json.loads(call(job.name, "--json").output)
    assert (found["job"], found["rule"], found["proposer"], found["parent"]) == (job.name, "far up", "rules", "c0")
    assert found["edits"] == ["lr@mul=40.0", "lr@set=0.3"]
    assert found["changes"] == [{"path": "lr", "old": 0.1, "new": 0.3, "was_there": True, "is_there": True}]
    assert found["fired"]["condition"] == 'last("eval/loss") > 0'
    assert found["fired"]["readings"][0] == {"text": 'last("eval/loss")', "value": "0.1363", "steps": [30]}
    assert found["decision"]["event"] == "round 1 is over"
    assert {one["verdict"] for one in found["others"]} == {"accepted", "refused", "no place"}
    assert [one["job"] for one in found["descent"]] == ["c0", job.name]


def test_an_unknown_job_is_a_misuse_with_the_nearest_names(project: World) -> None:
    result = call("c9")
    assert result.exit_code == 2
    assert "there is no job or study called c9 (near it: c" in result.output


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_old_ledger_tells_what_it_has(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(GOLDEN / f"v{version}.sqlite3", tmp_path / "old.sqlite3")
    monkeypatch.chdir(tmp_path)
    result = call("base_h2jr9c", "--ledger", "old.sqlite3")
    assert result.exit_code == 0, result.output
    assert "Rule 'mass_dead' proposed it of job 1 base" in result.output
    assert "ot_pi_sum = 1e-21" in result.output
    assert "Not known" in result.output


def test_a_variant_that_a_person_made_gives_their_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    origin = Origin(parent_cfg="base.json", proposer="person", reason="more reg", changes=("ot.reg@set=0.4",))
    with Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", lambda: 1.7e9) as ledger:
        ledger.ensure_study("act_ot", "act_ot", "act_ot")
        ledger.open_loop("act_ot", 1, {})
        ledger.add_job(new_job("variant", loop=1, origin=origin))
    output = call("variant").output
    assert "A person made it of base.json with generate_and_run: more reg." in output
    assert "edit  ot.reg@set=0.4" in output


def test_a_secret_of_the_environment_is_not_shown(project: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = project.history().jobs[2]
    loops.change(project, "UPDATE job SET reason = 'of hunter2hunter2', changes = '[]' WHERE id = ?", job.id)
    monkeypatch.setenv("WANDB_API_KEY", "hunter2hunter2")
    for words in ([job.name], [job.name, "--json"]):
        assert "hunter2" not in call(*words).output
        assert "***" in call(*words).output
    for words in (["pack"], ["pack", "--json"]):
        assert "hunter2" not in CliRunner().invoke(main, ["replay", *words]).output
