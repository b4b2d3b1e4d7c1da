"""Whole loops with a trainer's class that refuses, and several loops of one study that do not repeat themselves."""

from pathlib import Path

import pytest

from auto_loop.domain.proposal import Verdict
from tests.scenario.harness import World

pytest.importorskip("draccus")

PROFILE = """
pack = "pack.toml"
starter = "python"
[config]
class = "theirs.py:Config"
ignore = ["output_dir"]
seed = ""
[output]
metrics = ["metrics.jsonl"]
"""
CLASS = """
import os
from dataclasses import dataclass
with open("loads", "a") as file:
    file.write(f"{os.getpid()}\\n")
@dataclass
class Config:
    lr: float = 0.1
    steps: int = 1
    log_freq: int = 1
    eval_freq: int = 1
    output_dir: str = ""
def faults(config):
    return ["lr: above what it can take"] if config.lr > 0.15 else []
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(root=tmp_path)
    (tmp_path / "mine.toml").write_text(PROFILE)
    (tmp_path / "theirs.py").write_text(CLASS)
    return made


def started(world: World) -> list[int]:
    return [int(line) for line in (world.root / "loads").read_text().split()]


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_class_refuses_a_proposal_before_any_job_and_is_read_once_for_all_rounds(world: World) -> None:
    code = world.run(cfgs=world.configs(1), profile="mine.toml", decide=True, rounds=4)
    history = world.history()
    assert code == 0
    assert [job.config.data()["lr"] for job in history.jobs] == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    refused = [one for one in history.proposals if "the trainer would refuse it: lr: above" in "".join(one.reasons)]
    assert [(one.verdict, one.proposal.rule) for one in refused] == [(Verdict.REFUSED, "double")]
    assert len(started(world)) == 2, "once for its fields, which are kept in a file, and once for all configs"
    assert not any(map(lives, started(world))), "it is closed with the loop"


@pytest.mark.parametrize("options", [{"execute": False, "decide": True}, {"decide": False}])
def test_where_no_proposal_will_be_asked_of_it_it_is_not_kept(world: World, options: dict[str, bool]) -> None:
    assert world.run(cfgs=world.configs(1), profile="mine.toml", **options) == 0
    assert not any(map(lives, started(world)))


def test_a_class_that_cannot_be_read_is_said_once_and_holds_nothing_up(world: World) -> None:
    (world.root / "theirs.py").write_text("import no_such_package_here")
    assert world.run(cfgs=world.configs(1), profile="mine.toml", decide=True, rounds=2) == 0
    assert sum("could not be read" in line for line in world.said) == 1


def test_a_study_repeats_no_experiment_in_whichever_loop_and_other_steps_or_arguments_make_another(
    world: World,
) -> None:
    cfgs = world.configs(1)
    first = {"lr": 0.2, "rule": "double"}
    world.run(cfgs=cfgs, decide=True, rounds=2, steps=500)
    world.run(cfgs=cfgs, decide=True, rounds=2, steps=500, extra=("--amp=true",))
    world.run(cfgs=cfgs, decide=True, rounds=2, steps=900)
    world.run(cfgs=cfgs, decide=True, rounds=2, steps=500, eval_freq=100, extra=("--seed=4",))
    proposed = [
        {"lr": job.config.data()["lr"], "rule": job.origin.rule} for job in world.history().jobs if job.round == 2
    ]
    assert proposed[:3] == [first, first, first], "other arguments, and other steps"
    assert proposed[3] == {"lr": pytest.approx(0.05), "rule": "halve"}, "launched as the first loop was"
    assert [job.config.data()["lr"] for job in world.history().jobs if job.round == 1] == [0.1] * 4, (
        "a person's own run"
    )


def test_what_an_argument_sets_is_no_config_to_change(world: World) -> None:
    world.run(cfgs=world.configs(1), decide=True, rounds=2, extra=("--lr=0.7",))
    assert len(world.history().jobs) == 1
    said = " ".join(reason for one in world.history().proposals for reason in one.reasons)
    assert "changes nothing of its parent's config that makes another experiment" in said
