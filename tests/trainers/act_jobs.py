"""Tiny state-only jobs that really train, for the tests beside this file."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "auto_loop" / "trainers" / "act" / "train.py"
CONFIGS = ROOT / "train_configs"


def tiny_config() -> dict[str, Any]:
    """A job of a second: no camera, six source and two target episodes, a network of a few thousand parameters."""
    small = {"chunk_size": 5, "dim_model": 16, "n_heads": 2, "dim_feedforward": 32, "latent_dim": 4}
    features = [
        {"src_key": "observation.state", "tgt_key": "observation.state", "weight_embed": 0.1, "term_name": "hand"},
        {
            "src_key": "action",
            "tgt_key": "action",
            "use_learned_embed": False,
            "weight_embed": 0.0,
            "weight_label": 0.002,
            "term_name": "action",
        },
    ]
    return {
        "batch_size": 8,
        "steps": 20,
        "log_freq": 5,
        "eval_freq": 10,
        "dataset": {"root": "data/pick_place_state_target_2"},
        "policy": {"device": "cpu", "n_encoder_layers": 1, **small},
        "ot": {
            "enable": True,
            "src_root": "data/pick_place_state_source_6",
            "pair_info_path": "data/pairs_source_6_target_2.npz",
            "loss_config": {"features": features},
        },
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    place = folder / "config.json"
    place.write_text(json.dumps(config))
    return place


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "ACCELERATE"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def script(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the trainer by path, as a user does."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120, check=False)


def metrics_of(output_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text().splitlines()]
