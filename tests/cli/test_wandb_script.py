"""A user's own script that logs with real wandb and says nowhere where its runs go, under two slots at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAINER = """
import json, sys, wandb
words = dict(word[2:].split("=", 1) for word in sys.argv[1:])
config = json.load(open(words["config_path"]))
run = wandb.init(project="mine")
for step in range(3):
    wandb.log({"eval/loss": config["lr"] / (1 + step)})
run.finish()
"""


def test_each_run_is_read_as_its_own(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINER)
    for name, rate in (("a", 1.0), ("b", 3.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"lr": rate}))
    command = [sys.executable, "-m", "auto_loop.autorun", "--cfgs", "a.json", "b.json", "--exec"]
    command += ["--train-script", "train.py", "--profile", "script", "--concurrency", "2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "reports/data/autorun_summary.json").read_text())
    jobs = summary["studies"]["default"]["rounds"][0]["jobs"]
    metrics = {job["cfg"]: job["metrics"]["eval/loss"] for job in jobs}
    assert {cfg: (one["first"], one["last"], one["source"]) for cfg, one in metrics.items()} == {
        "a.json": (1.0, 1.0 / 3, "wandb-history.jsonl"),
        "b.json": (3.0, 1.0, "wandb-history.jsonl"),
    }
    assert not (tmp_path / "wandb").exists()
