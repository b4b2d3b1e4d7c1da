"""A live rule on real processes: the SIGTERM, the clean exit after it, and the changed successor in its place."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from auto_loop.domain.job import FORK, Job, Outcome, StopCause
from auto_loop.ledger.reading import Reading

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90.0
PACK = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
after = 2
for = 2
then = "stop+fork"
change = { "lr@set" = { expr = '1 + value("mass", 1)' } }
reason = "mass is {value('mass')}"
"""
TRAINER = """
import json, os, signal, sys, time
words = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
lr = json.load(open(words["config_path"]))["lr"]
folder = words["output_dir"]
os.makedirs(folder)

def saved(*_):
    open(os.path.join(folder, "saved"), "w").write("last checkpoint")
    sys.exit(0)

signal.signal(signal.SIGTERM, saved)
with open(os.path.join(folder, "metrics.jsonl"), "w", buffering=1) as history:
    for step in range(1, 6):
        history.write(json.dumps({"step": step, "mass": 0.5 if lr >= 1 or step == 1 else 0.0}) + "\\n")
        time.sleep(0.02)
if lr < 1:
    signal.pause()
"""


def loop(folder: Path) -> list[Job]:
    (folder / "pack.toml").write_text(PACK)
    (folder / "train.py").write_text(TRAINER)
    (folder / "base.json").write_text(json.dumps({"lr": 0.1}))
    words = "--cfgs base.json --profile script --train-script train.py --pack pack.toml --decide --rounds 2 --exec"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "AUTO_LOOP_LEASE_DIR": str(folder / "leases")}
    command = [sys.executable, "-m", "auto_loop.autorun", *words.split(), "--device", "cpu", "--concurrency", "1"]
    done = subprocess.run(command, cwd=folder, env=env, timeout=DEADLINE_S, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(Reading.open(folder / "outputs/ledger.sqlite3")) as reading:
        return list(reading.history("pack").jobs)


def test_a_dead_job_is_asked_to_stop_saves_and_leaves_its_place_to_its_successor(tmp_path: Path) -> None:
    parent, child = loop(tmp_path)
    (attempt,) = parent.attempts
    assert (attempt.outcome, attempt.returncode) == (Outcome.STOPPED, 0)
    assert attempt.stop is not None
    assert (attempt.stop.cause, attempt.stop.sent) == (StopCause.RULE, True)
    assert attempt.stop.text == "live rule 'dead' at step 3: mass is 0"
    assert (tmp_path / attempt.output_dir / "saved").read_text() == "last checkpoint"
    assert (child.origin.proposer, child.outcome, child.config.data()["lr"]) == (FORK, Outcome.SUCCEEDED, 1.5)
    assert child.attempts[0].created_at >= attempt.stop.at
