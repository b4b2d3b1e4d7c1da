"""Real runs of the trainer, small ones: what is logged, saved and resumed, and how a run is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from act_jobs import SCRIPT, environment, metrics_of, script, tiny_config, write_config

from auto_loop.trainers.act.train import main

TRAIN = {"loss", "l1_loss", "kld_loss", "grad_norm", "lr", "update_s"}
OT = {"loss", "pi_sum", "pi_diag", "log_pi_sum", "objective", "m_eff", "s", "grad_ratio", "iters", "not_converged"}
TERMS = {"ot_cost/hand", "ot_cost/action"}
OT |= {"src_episodes", "label_spread/0", "label_spread/1", "plan_cost/kl", "eased_cost/kl"}
OT |= {
    "feature_spread",
    "label_spread",
    *(f"{who}_kl/{of}" for who in ("plan", "eased") for of in ("ref", "src", "tgt")),
}
KINDS = [f"{who}_{{}}" for who in ("plan", "eased", "mean")]
OT |= {f"{kind.format('cost')}/{part}" for kind in KINDS for part in ("label", "embed")}
OT |= {f"{kind.format(part)}/{index}" for kind in KINDS for part in ("label", "embed") for index in (0, 1)}
EVAL = {f"eval/offline_eval/{name}" for name in ("avg_l1", "avg_loss", "n_batches", "avg_l1_id", "avg_l1_ood")}


def train(place: Path, *arguments: str, **changes: Any) -> int:
    """One run in this process."""
    return main([f"--config_path={write_config(place, {**tiny_config(), **changes})}", *arguments])


def test_a_run_logs_windows_and_evaluations_under_the_agreed_names(project: Path) -> None:
    assert train(project, "--output_dir=out") == 0
    lines = metrics_of(project / "out")
    windows = [line for line in lines if "train/loss" in line]
    evaluations = [line for line in lines if "eval/offline_eval/avg_l1" in line]
    assert [line["step"] for line in windows] == [5, 10, 15, 20]
    assert [line["step"] for line in evaluations] == [10, 20]
    names = {f"train/{name}" for name in TRAIN | TERMS} | {f"train/ot_{name}" for name in OT}
    assert [set(line) ^ (names | {"step"}) for line in windows] == [set()] * 4
    assert all(set(line) == EVAL | {"step"} for line in evaluations)
    assert windows[-1]["train/loss"] < windows[0]["train/loss"]
    assert 0 < windows[-1]["train/ot_pi_sum"] < 1
    assert windows[-1]["train/ot_grad_ratio"] > 0
    both = ("eval/offline_eval/avg_l1_id", "eval/offline_eval/avg_l1_ood")
    low, high = sorted(evaluations[-1][name] for name in both)
    assert low <= evaluations[-1]["eval/offline_eval/avg_l1"] <= high
    assert {place.name for place in (project / "out" / "checkpoints").iterdir()} == {"000020", "last"}


def weights(output_dir: Path, step: int) -> bytes:
    return (output_dir / "checkpoints" / f"{step:06d}" / "pretrained_model" / "model.safetensors").read_bytes()


def test_resuming_gives_bit_for_bit_what_an_unbroken_run_gives(project: Path) -> None:
    assert train(project, "--output_dir=whole", "--log_freq=8") == 0
    assert train(project, "--output_dir=parts", "--log_freq=8", "--save_freq=10", "--steps=14") == 0
    # As after a crash in step 14: what came after the last checkpoint is run, and logged, again.
    (project / "parts" / "checkpoints" / "last").unlink()
    (project / "parts" / "checkpoints" / "000014").rename(project / "lost")
    assert train(project, "--output_dir=parts", "--log_freq=8", "--resume=true") == 0
    assert weights(project / "whole", 20) == weights(project / "parts", 20)
    whole, parts = metrics_of(project / "whole"), metrics_of(project / "parts")
    for line in (*whole, *parts):
        line.pop("train/update_s", None)
    assert whole == parts
    assert (project / "parts" / "checkpoints" / "last").resolve().name == "000020"


def test_two_variants_under_one_seed_see_the_same_bc_batches(project: Path) -> None:
    """Without a pull of OT on the weights, the whole BC course is the same, whatever OT draws."""
    quiet = tiny_config()["ot"] | {"lambda_ot": 0.0}
    assert train(project, "--output_dir=one", ot=quiet) == 0
    assert train(project, "--output_dir=two", ot=quiet | {"batch_ratio": 2.0, "no_window": True}) == 0
    assert weights(project / "one", 20) == weights(project / "two", 20)


def test_a_dear_action_label_kills_the_plan_and_the_seeds_remedies_revive_it(project: Path) -> None:
    """The baseline's dead state in miniature: label cost alone, and what the rules propose against it."""
    dead = tiny_config()["ot"]
    dead["loss_config"]["features"][1]["weight_label"] = 0.5
    alive = tiny_config()["ot"]
    alive["loss_config"] |= {"reg": 0.4, "tau_src": 2.0, "tau_tgt": 2.0}
    for name, config in (("dead", dead), ("alive", alive)):
        assert train(project, f"--output_dir={name}", "--steps=5", ot=config) == 0
    found = {name: metrics_of(project / name)[0] for name in ("dead", "alive")}
    assert 0 < found["dead"]["train/ot_pi_sum"] < 1e-20
    assert found["dead"]["train/ot_m_eff"] > 100
    assert found["dead"]["train/ot_grad_ratio"] < 1e-4
    assert found["alive"]["train/ot_pi_sum"] > 1e-6


def test_without_transport_the_target_alone_is_cloned(project: Path) -> None:
    assert train(project, "--output_dir=out", "--ot.enable=false", "--steps=5") == 0
    assert not any(name.startswith("train/ot_") for line in metrics_of(project / "out") for name in line)


def test_a_warm_start_begins_from_the_given_weights(project: Path) -> None:
    assert train(project, "--output_dir=first") == 0
    folder = "first/checkpoints/last/pretrained_model"
    assert train(project, "--output_dir=second", f"--policy.pretrained_path={folder}", "--steps=5") == 0
    cold, warm = metrics_of(project / "first")[0], metrics_of(project / "second")[0]
    assert warm["train/loss"] < 0.5 * cold["train/loss"]


def test_a_loss_that_is_no_number_stops_the_run_and_is_in_the_log(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(project, "--output_dir=out", "--policy.optimizer_lr=1e30") == 1
    last = metrics_of(project / "out")[-1]
    assert last["train/loss"] != last["train/loss"] or last["train/loss"] in (float("inf"), float("-inf"))
    assert "error: the loss is not finite at step" in capsys.readouterr().err


def test_an_output_folder_that_exists_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "out").mkdir()
    assert train(project, "--output_dir=out") == 2
    assert "output_dir: out exists" in capsys.readouterr().err


def test_resuming_what_has_no_checkpoint_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(project, "--output_dir=out", "--resume=true") == 2
    assert "there is no checkpoint below out/checkpoints" in capsys.readouterr().err
    assert not (project / "out").exists()


def test_a_device_that_is_not_there_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    device = "mps" if torch.cuda.is_available() else "cuda"
    assert train(project, "--output_dir=out", f"--policy.device={device}") == 2
    assert f"policy.device: {device} is not to be had" in capsys.readouterr().err
    assert not (project / "out").exists()


def test_features_that_ask_for_what_the_data_lacks_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config()["ot"]
    image = {"src_key": "observation.image", "tgt_key": "observation.image", "term_name": "image"}
    long = {"dim_slice": [0, 9], "weight_label": 1.0, "term_name": "long"}
    config["loss_config"]["features"] += [image, long]
    assert train(project, "--output_dir=out", ot=config) == 2
    said = capsys.readouterr().err
    assert "features.2.src_key: the data set has no 'observation.image'" in said
    assert "features.3.dim_slice: [0, 9] ends past the 4" in said


def test_sigterm_finishes_the_step_and_leaves_a_checkpoint_to_resume_from(project: Path) -> None:
    place = write_config(project, tiny_config())
    command = [sys.executable, str(SCRIPT), f"--config_path={place}", "--output_dir=out", "--log_freq=1"]
    with subprocess.Popen([*command, "--steps=1000000"], cwd=project, env=environment()) as process:
        deadline = time.monotonic() + 60
        while not (project / "out" / "metrics.jsonl").exists() or not metrics_of(project / "out"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    last = (project / "out" / "checkpoints" / "last").resolve()
    stopped = metrics_of(project / "out")[-1]["step"]
    assert int(last.name) == stopped
    assert train(project, "--output_dir=out", "--log_freq=1", "--resume=true", f"--steps={int(stopped) + 2}") == 0
    assert metrics_of(project / "out")[-1]["step"] == stopped + 2


def test_under_accelerate_with_wandb_offline_a_run_is_written(project: Path) -> None:
    place = write_config(project, tiny_config())
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    arguments = [f"--config_path={place}", "--output_dir=out", "--wandb.enable=true", "--steps=5"]
    environ = {**environment(), "HOME": str(project)}
    subprocess.run([*launch, str(SCRIPT), *arguments], cwd=project, env=environ, check=True, timeout=120)
    assert [line["step"] for line in metrics_of(project / "out")] == [5, 5]
    assert len(list((project / "out" / "wandb").glob("offline-run-*/run-*.wandb"))) == 1


def test_the_trainer_runs_by_path_from_a_foreign_folder_and_says_what_it_does(project: Path) -> None:
    place = write_config(project, tiny_config())
    done = script(f"--config_path={place}", "--output_dir=out", "--steps=5", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "step 5/5: loss" in done.stdout
    assert "evaluated at step 5: avg_l1" in done.stdout
    saved = json.loads((project / "out/checkpoints/last/pretrained_model/train_config.json").read_text())
    assert saved["steps"] == 5
    assert os.path.islink(project / "out/checkpoints/last")
