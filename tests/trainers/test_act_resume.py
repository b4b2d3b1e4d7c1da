"""A run that was killed and resumed as the profile says: one history, and the same end."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from act_jobs import ROOT, SCRIPT, environment, metrics_of, tiny_config, write_config

from auto_loop.domain.series import Source
from auto_loop.launch.profile_text import shipped_profile
from auto_loop.readers.registry import read_run
from auto_loop.trainers.act import checkpoint
from auto_loop.trainers.act.train import main
from auto_loop.trainers.runlog import RunLog

RUNNER = ROOT / "auto_loop" / "runner" / "run.py"
STEPS = 240


def start(project: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The trainer by way of the runner, which mirrors what W&B is told."""
    env = {**environment(), "HOME": str(project), "WANDB_MODE": "offline"}
    return subprocess.Popen([sys.executable, str(RUNNER), str(SCRIPT), *arguments], cwd=project, env=env)


def test_after_a_sigkill_the_history_is_joined_and_ends_at_the_last_step(project: Path) -> None:
    config = {**tiny_config(), "steps": STEPS, "log_freq": 1, "eval_freq": 0, "save_freq": 20}
    config["wandb"] = {"enable": True, "mode": "offline"}
    place = write_config(project, config)
    with start(project, f"--config_path={place}", "--output_dir=out") as process:
        deadline = time.monotonic() + 90
        while not (project / "out" / "checkpoints" / "last").exists() or metrics_of(project / "out")[-1]["step"] < 25:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    saved = checkpoint.last(project / "out")
    assert saved is not None
    killed_at = int(metrics_of(project / "out")[-1]["step"])
    assert int(saved.name) <= killed_at < STEPS

    profile = shipped_profile("act_ot")
    with start(project, f"--config_path=out/{profile.resume_config}", *profile.resume_flags) as process:
        assert process.wait(90) == 0

    assert [line["step"] for line in metrics_of(project / "out")] == [*range(1, STEPS + 1), STEPS]
    reading = read_run(project / "out")
    assert reading is not None
    assert reading.source is Source.MIRROR
    assert reading.series["train/loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert len(list((project / "out" / "wandb").glob("offline-run-*"))) == 2
    logged = {line["step"]: line["train/loss"] for line in metrics_of(project / "out") if "train/loss" in line}
    assert reading.series["train/loss"].values.tolist() == list(logged.values())


def test_a_run_that_was_killed_after_its_last_checkpoint_only_says_that_it_is_done(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {**tiny_config(), "steps": 5}
    assert main([f"--config_path={write_config(project, config)}", "--output_dir=out"]) == 0
    before = metrics_of(project / "out")
    last = "out/checkpoints/last/pretrained_model/train_config.json"
    assert main([f"--config_path={last}", "--resume=true"]) == 0
    assert metrics_of(project / "out") == before
    assert "done: 5 steps" in capfd.readouterr().out


def test_a_log_that_a_power_cut_tore_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b'{"step": 1, "loss": 1.0}\n{"step": 2, "lo\xff\x00\x00\n\xfe')
    opened = RunLog(log, keep_to_step=2)
    opened.write(2, {"loss": 0.5})
    opened.close()
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2]
