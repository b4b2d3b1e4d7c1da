"""LeRobot's own trainer under `autorun --profile lerobot`: two rounds, nothing of ours in its environment.

Needs an interpreter that has LeRobot 0.4.4 (`install.sh` makes one); skipped, visibly, where none is named. About one
to three minutes on two cores. docs/lerobot.md tells how to run it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auto_loop.readers.wandb_datastore import wandb_datastore

PYTHON = os.environ.get("AUTO_LOOP_LEROBOT_PYTHON", "")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STEPS, LOG_FREQ = 40, 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="AUTO_LOOP_LEROBOT_PYTHON names no interpreter that has LeRobot"),
]

# Whether every file that LeRobot's wheel brought is still as the wheel's own record says.
UNCHANGED = """
import base64, hashlib, importlib.metadata
def told(file):
    return base64.urlsafe_b64encode(hashlib.sha256(file.read_binary()).digest()).rstrip(b"=").decode()
files = [file for file in importlib.metadata.files("lerobot") if file.hash]
bad = [str(file) for file in files if told(file) != file.hash.value]
print(importlib.metadata.version("lerobot"), len(files), bad)
"""


@dataclass(frozen=True, kw_only=True)
class Night:
    """What `autorun` left: its exit code, what it printed, its folder and the study's part of the JSON summary."""

    code: int
    printed: str
    folder: Path
    study: dict[str, Any]

    def jobs(self, round_number: int) -> list[dict[str, Any]]:
        return [job for one in self.study["rounds"] if one["round"] == round_number for job in one["jobs"]]

    def all_jobs(self) -> list[dict[str, Any]]:
        return [*self.jobs(1), *self.jobs(2)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without PYTHONPATH, so that the trainer finds nothing of ours; offline; with an empty home."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "WANDB_MODE")}
    home = tmp_path_factory.mktemp("home")
    return kept | {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Night]:
    """Two configs, two rounds, two slots, on a dataset that is made on the spot. The weights do not stay."""
    folder = tmp_path_factory.mktemp("lerobot")
    subprocess.run([PYTHON, HERE / "make_dataset.py", "data/reach"], cwd=folder, env=environment, check=True)
    configs = write_configs(folder / "train_configs")
    shutil.copy(HERE / "pack.toml", folder)
    done = subprocess.run(
        [sys.executable, ROOT / "auto_loop" / "autorun.py", "--cfgs", *configs,
         "--profile", "lerobot", "--python", PYTHON, "--pack", "pack.toml",
         "--steps", str(STEPS), "--log-freq", str(LOG_FREQ), "--eval-freq", str(STEPS // 2),
         "--device", "cpu", "--concurrency", "2", "--decide", "--rounds", "2", "--exec"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    summary = json.loads((folder / "reports" / "data" / "autorun_summary.json").read_text(encoding="utf-8"))
    yield Night(code=done.returncode, printed=done.stdout, folder=folder, study=summary["studies"]["lerobot_act"])
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()


def write_configs(folder: Path) -> list[str]:
    """The tiny config, and one that learns a tenth as fast."""
    folder.mkdir()
    config = json.loads((HERE / "act_tiny.json").read_text(encoding="utf-8"))
    (folder / "act_tiny.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    for key in ("optimizer_lr", "optimizer_lr_backbone"):
        config["policy"][key] /= 10
    (folder / "act_tiny_slow.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return ["train_configs/act_tiny.json", "train_configs/act_tiny_slow.json"]


def test_lerobot_is_as_its_authors_released_it(environment: dict[str, str], night: Night) -> None:
    said = subprocess.run(
        [PYTHON, "-c", UNCHANGED], env=environment, cwd=night.folder, capture_output=True, text=True, check=True
    )
    version, count, changed = said.stdout.strip().split(" ", 2)
    assert (version, changed) == ("0.4.4", "[]")
    assert int(count) > 300


def test_nothing_of_ours_is_in_its_environment(environment: dict[str, str], night: Night) -> None:
    tried = subprocess.run(
        [PYTHON, "-c", "import auto_loop"], env=environment, cwd=night.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "No module named 'auto_loop'" in tried.stderr


def test_both_rounds_succeed(night: Night) -> None:
    assert night.code == 0, night.printed
    assert [len(night.jobs(number)) for number in (1, 2)] == [2, 2]
    assert {job["outcome"] for job in night.all_jobs()} == {"succeeded"}, night.printed
    assert "all 2 rounds are done" in night.printed


def test_every_history_comes_from_the_mirror_with_first_and_last(night: Night) -> None:
    for job in night.all_jobs():
        loss = job["metrics"]["train/loss"]
        rows = mirrored(night.folder / job["output_dir"], "train/loss")
        assert [row["_step"] for row in rows] == list(range(LOG_FREQ, STEPS + 1, LOG_FREQ))
        assert (loss["first"], loss["last"]) == (rows[0]["train/loss"], rows[-1]["train/loss"])
        assert (loss["n"], loss["source"]) == (len(rows), "wandb-history.jsonl")


def test_the_losses_are_those_that_lerobot_printed(night: Night) -> None:
    for job in night.all_jobs():
        log = (night.folder / job["log"]).read_text(encoding="utf-8")
        printed = [float(value) for value in re.findall(r" loss:([0-9.]+) ", log)]
        rows = mirrored(night.folder / job["output_dir"], "train/loss")
        assert [row["train/loss"] for row in rows] == pytest.approx(printed, abs=5.1e-4)


def test_the_mirror_says_what_wandbs_own_file_says(night: Night) -> None:
    for job in night.all_jobs():
        folder = night.folder / job["output_dir"]
        binary = wandb_datastore().read(folder).series
        assert {"train/loss", "train/l1_loss", "train/grad_norm", "train/lr"} <= set(binary)
        for name, series in binary.items():
            if not name.startswith("_"):
                rows = mirrored(folder, name)
                assert [row["_step"] for row in rows] == series.steps.tolist(), name
                np.testing.assert_array_equal([row[name] for row in rows], series.values, name)


def test_the_second_round_trained_with_what_was_decided(night: Night) -> None:
    for job in night.jobs(2):
        assert job["parent"] in {one["cfg"] for one in night.jobs(1)}
        assert job["changes"]
        decided = json.loads((night.folder / job["cfg"]).read_text(encoding="utf-8"))
        saved = night.folder / job["output_dir"] / "checkpoints" / "last" / "pretrained_model" / "train_config.json"
        trained = json.loads(saved.read_text(encoding="utf-8"))
        for key in ("optimizer_lr", "optimizer_lr_backbone", "kl_weight"):
            assert trained["policy"][key] == decided["policy"][key]
        rate = mirrored(night.folder / job["output_dir"], "train/lr")[-1]["train/lr"]
        assert rate == pytest.approx(decided["policy"]["optimizer_lr"])


def test_the_report_tells_of_every_job_and_decision(night: Night) -> None:
    text = (night.folder / "reports" / "lerobot_act.md").read_text(encoding="utf-8")
    for job in night.all_jobs():
        assert job["cfg"] in text
        assert job["output_dir"] in text
        assert job["log"] in text
    for job in night.jobs(2):
        assert job["reason"] in text
    assert "4 jobs: 4 succeeded" in text


def mirrored(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of the mirrored history that hold a metric."""
    (file,) = folder.glob("wandb/*run-*/files/wandb-history.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if name in row]
