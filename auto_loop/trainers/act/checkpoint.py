"""Checkpoints in LeRobot's layout: `<output_dir>/checkpoints/<step>/{pretrained_model,training_state}`, and `last`.

Each is written aside, flushed to the disk and renamed, so one that is there is whole, whenever the process was killed
or the machine went down.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

MODEL, TRAINING = "pretrained_model", "training_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Everything beside the weights that the next step depends on."""

    step: int
    optimizer: dict[str, Any]
    torch_random: dict[str, Tensor]
    plain: dict[str, Any]  # the samplers' random streams, the open log window, W&B's run id


def save(output_dir: Path, policy: nn.Module, state: TrainingState, configs: Mapping[str, Any]) -> Path:
    """Write the checkpoint of `state.step`, point `last` at it, and return its folder."""
    place = output_dir / "checkpoints" / f"{state.step:06d}"
    aside = place.with_name(f".{place.name}.saving")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / MODEL).mkdir(parents=True)
    (aside / TRAINING).mkdir()
    weights = {name: value.contiguous() for name, value in policy.state_dict().items()}
    save_file(weights, aside / MODEL / "model.safetensors")
    for name, content in configs.items():
        _write_json(aside / MODEL / f"{name}.json", content)
    tensors, groups = _flat_optimizer(state.optimizer)
    save_file(tensors, aside / TRAINING / "optimizer_state.safetensors")
    save_file(state.torch_random, aside / TRAINING / "rng_state.safetensors")
    _write_json(aside / TRAINING / "optimizer_param_groups.json", groups)
    _write_json(aside / TRAINING / "training_step.json", {"step": state.step, **state.plain})
    _to_disk(aside)
    shutil.rmtree(place, ignore_errors=True)
    os.rename(aside, place)
    _point(place.parent / "last", place.name)
    return place


def last(output_dir: Path) -> Path | None:
    """The newest whole checkpoint's folder, or None."""
    folder = output_dir / "checkpoints"
    whole = [place for place in folder.glob("*") if place.name.isdigit()]
    return max(whole, key=lambda place: int(place.name), default=None)


def load_weights(model_folder: Path, policy: nn.Module) -> None:
    """Put a `pretrained_model` folder's weights into a policy of the same shape."""
    policy.load_state_dict(load_file(model_folder / "model.safetensors"))


def load_state(checkpoint: Path) -> TrainingState:
    """Read back what `save` wrote beside the weights."""
    folder = checkpoint / TRAINING
    plain = json.loads((folder / "training_step.json").read_text())
    groups = json.loads((folder / "optimizer_param_groups.json").read_text())
    return TrainingState(
        step=plain.pop("step"),
        optimizer=_nested_optimizer(load_file(folder / "optimizer_state.safetensors"), groups),
        torch_random=load_file(folder / "rng_state.safetensors"),
        plain=plain,
    )


def torch_random_state() -> dict[str, Tensor]:
    """Torch's global streams, which dropout and the VAE draw from."""
    found = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def restore_torch_random(state: Mapping[str, Tensor]) -> None:
    """Let torch's global streams go on from where they were."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _flat_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    slots = state["state"].items()
    tensors = {f"{index}/{name}": value.contiguous() for index, values in slots for name, value in values.items()}
    return tensors, state["param_groups"]


def _nested_optimizer(tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, slot = name.split("/")
        slots.setdefault(int(index), {})[slot] = value
    return {"state": slots, "param_groups": groups}


def _write_json(place: Path, content: Any) -> None:
    place.write_text(json.dumps(content, indent=2) + "\n")


def _to_disk(folder: Path) -> None:
    """A rename may outlive a power cut that its files' contents do not: these go first."""
    for place in (*folder.rglob("*"), folder):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _point(link: Path, name: str) -> None:
    aside = link.with_name(".last.new")
    aside.unlink(missing_ok=True)
    os.symlink(name, aside)
    os.replace(aside, link)
