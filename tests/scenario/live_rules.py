"""What scenarios of live rules share: packs, and jobs whose mass dies."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import PACK, Script, World
from tests.scenario.test_storm import MEMORY, NoReport

DEAD = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
after = 20
for = 2
reason = "mass is {value('mass')}"
"""


@contextlib.contextmanager
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose project lies in memory where it can, and of which nobody draws a report."""
    monkeypatch.setattr("auto_loop.assembly.running.Redraw", NoReport)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield World(root=Path(folder))


def pack(world: World, text: str) -> None:
    (world.root / "pack.toml").write_text(PACK + text)


def lr_of(world: World, request: LaunchRequest) -> float:
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    return float(json.loads((world.root / words["--config_path"]).read_text())["lr"])


def append(world: World, request: LaunchRequest, rows: Sequence[dict[str, object]]) -> None:
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    folder = world.root / words["--output_dir"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def masses(*values: float, every: int = 10) -> list[dict[str, object]]:
    return [{"step": (at + 1) * every, "mass": value, "eval/loss": 1.0} for at, value in enumerate(values)]


def dying(world: World, *dead: float, seconds: float = 50.0) -> Script:
    """Configs with these learning rates lose their mass, the others keep it; all log at once what they will."""

    def script(request: LaunchRequest) -> Act:
        alive = lr_of(world, request) not in dead
        append(world, request, masses(*([0.5] * 5 if alive else [0.5, 0.0, 0.0, 0.0, 0.0])))
        return Act(duration_s=seconds)

    return script


FORK = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
after = 20
for = 2
then = "stop+fork"
change = { "lr@add" = 1.0 }
reason = "mass is {value('mass')}"
"""


def claimed(world: World, script: Script) -> Script:
    """The script, with the claim that a keeper would have made: what an adopter finds."""

    def acts(request: LaunchRequest) -> Act:
        claim = {"pid": len(world.requests) + 1, "start_time": 1, "boot_id": "stub", "token": request.token}
        request.claim_file.parent.mkdir(parents=True, exist_ok=True)
        request.claim_file.write_text(json.dumps(claim))
        return script(request)

    return acts
