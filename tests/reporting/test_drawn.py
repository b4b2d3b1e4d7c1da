"""Reports as a loop leaves them, drawn from its ledger: what only events and the supervisor's row tell is in them."""

import json
from pathlib import Path

import pytest

from auto_loop.assembly.drawing import draw
from auto_loop.assembly.redraw import ReportFiles
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import PACK, World

REMEDY = """
[guardrails]
allow = ["lr", "batch_size"]

[[remedy]]
failure = "out of memory"
change = { "batch_size@mul" = 0.5 }
reason = "half the batch"
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(root=tmp_path)
    (tmp_path / "pack.toml").write_text(PACK + REMEDY)
    (tmp_path / "c0.json").write_text(json.dumps({"lr": 0.1, "batch_size": 32}))
    return made


def drawn(world: World) -> str:
    files = ReportFiles(
        ledger=world.root / "outputs/ledger.sqlite3", markdown=world.root / "r.md", summary=world.root / "r.json"
    )
    draw("pack", files, world.around())
    return files.markdown.read_text()


def test_a_loop_with_a_remedy_a_retry_and_a_refused_config(world: World) -> None:
    tries = iter([Act(returncode=-15), Act(returncode=2, inner="SystemExit: 2")])

    def script(request: LaunchRequest) -> Act:
        if "c1" in request.log_file.name:
            return next(tries)
        if "c0." in request.log_file.name:
            return Act(duration_s=2.0, returncode=1, inner="OutOfMemoryError: CUDA out of memory")
        return Act(duration_s=10.0, on_end=world.logs)

    (world.root / "c1.json").write_text(json.dumps({"lr": 0.2, "batch_size": 4}))
    assert world.run(script, cfgs=("c0.json", "c1.json")) == 1
    text = drawn(world)
    assert "| `batch_size 32 → 16` as job 3 " in text
    assert "; job 3 took its place |" in text
    assert "tried again after 10 s; a config that the trainer refused is never tried again |" in text
    assert "1st try: preempted: " in text


def test_a_loop_that_was_left_says_so_once_its_supervisor_has_gone(world: World) -> None:
    cfgs = world.configs(3)
    world.run(world.trains(3000.0), cfgs=cfgs, concurrency=1, max_hours=1.0, start_timeout=0.0)
    text = drawn(world)
    assert "**Why it stopped**: it was left unfinished; nobody drives the study" in text
    assert "`auto-loop autorun --resume --study pack --exec` goes on with it." in text
    assert "--max-hours 1 is over" in text
    world.run(world.trains(), cfgs=(), resume=True, study="pack")
    assert "left unfinished" not in drawn(world)
