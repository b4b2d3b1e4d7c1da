"""Small studies that really ran, on a stub launcher: a dead baseline, one computed edit, several seeds or one."""

import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from auto_loop.assembly.drawing import draw
from auto_loop.assembly.redraw import ReportFiles
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import World
from tests.scenario.test_storm import NoReport

PACK = """
[objective]
metric = "eval/l1"
direction = "lower"
min_difference = 0.005

[metrics]
key = ["eval/l1", "train/ot_pi_sum", "train/ot_log_pi_sum"]

[metrics."train/ot_pi_sum"]
band = [1e-3, 0.9]
dead = 1e-6

[metrics."train/ot_log_pi_sum"]
direction = "none"

[guardrails]
allow = ["reg", "scale", "lr"]

[[law]]
metric = "train/ot_log_pi_sum"
value = 'last("train/ot_log_pi_sum") * (reg + 2.0) / (next.reg + 2.0) * next.scale / scale'

[[diagnosis]]
name = "cost far above s"
when = 'last("train/ot_pi_sum") < 1e-6'
says = "the cost is {-last('train/ot_log_pi_sum')} times s: only cloning trains"

[[rule]]
name = "scale, computed"
when = 'last("train/ot_pi_sum") < 1e-6'
reason = "mass {last('train/ot_pi_sum')}: cost scaled so that it comes to about 0.1"
priority = 90
[rule.change]
"scale@mul" = { expr = "ln(0.1) / last('train/ot_log_pi_sum')", predict = "train/ot_pi_sum" }

[[rule]]
name = "reg up"
when = 'last("train/ot_pi_sum") < 1e-6'
reason = "reg up a little"
priority = 50
change = { "reg@add" = 0.1 }

[[rule]]
name = "never seen"
when = 'last("train/nowhere") > 1'
reason = "x"
change = { "lr@mul" = 0.7 }
"""


@dataclass
class Trainer:
    """Its L1 falls by `gain` once there is mass; `surprise` shifts the logarithm of the mass that it comes to."""

    world: World
    gain: float = 0.1
    surprise: float = 0.0

    def logs(self, request: LaunchRequest) -> None:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        config = json.loads((self.world.root / words["--config_path"]).read_text())
        log = -400 * config["scale"] * 2.3 / (config["reg"] + 2.0) + (self.surprise if config["scale"] < 1 else 0.0)
        noise, own = random.Random(config["seed"]), random.Random(json.dumps(config, sort_keys=True))
        l1 = 0.3256 - self.gain * (log > math.log(1e-3)) + noise.gauss(0, 0.008) + own.gauss(0, 0.002)
        folder = self.world.root / words["--output_dir"]
        folder.mkdir(parents=True)
        rows = [
            {"step": step, "eval/l1": l1 + 0.2 / step, "train/ot_pi_sum": math.exp(log), "train/ot_log_pi_sum": log}
            for step in (100, 200, 300)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@contextmanager
def study(root: Path, *, repeats: int, gain: float = 0.1, surprise: float = 0.0, rounds: int = 2) -> Iterator[World]:
    """A study of one config, run to its end; nobody draws a report meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auto_loop.assembly.running.Redraw", NoReport)
        world = World(root=root)
        (root / "pack.toml").write_text(PACK)
        (root / "baseline.json").write_text(json.dumps({"lr": 0.1, "reg": 0.3, "scale": 1.0, "seed": 1}))
        trainer = Trainer(world, gain=gain, surprise=surprise)
        code = world.run(
            lambda request: Act(duration_s=90.0, on_end=trainer.logs),
            cfgs=("baseline.json",),
            decide=True,
            rounds=rounds,
            round_size=2,
            repeats=repeats,
            device="cpu",
        )
        assert code == 0
        yield world


def drawn(world: World) -> tuple[str, dict[str, object]]:
    """The study's report as Markdown, and its part of the JSON."""
    files = ReportFiles(
        ledger=world.root / "outputs/ledger.sqlite3", markdown=world.root / "r.md", summary=world.root / "r.json"
    )
    draw("pack", files, world.around())
    whole = json.loads(files.summary.read_text())
    return files.markdown.read_text(), whole["studies"]["pack"]


def section(text: str, title: str) -> Sequence[str]:
    """The lines from a heading to the next of its level or above."""
    lines = text.splitlines()
    at = lines.index(title)
    level = len(title.split()[0])
    ends = (n for n, line in enumerate(lines) if n > at and line.startswith("#") and len(line.split()[0]) <= level)
    return lines[at : next(ends, len(lines))]
