"""A job's environment: what it inherits, what is kept from it, and what the slot and the loop set.

What is kept out would undo what we say on the command line: accelerate and torch read whole families of variables
(a supervisor started inside a training job has them all), and an inherited W&B run id makes all jobs one run.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from auto_loop.domain.slot import Device, Slot

_KEPT_OUT = (
    "ACCELERATE_",
    "FSDP_",
    "DEEPSPEED_",
    "MEGATRON_LM_",
    "PARALLELISM_CONFIG_",
    "TORCHELASTIC_",
    "TORCH_DISTRIBUTED_DEBUG",
    "OMPI_COMM_",
    "PMI_",
    "PMIX_",
    "MV2_COMM_",
    "MPI_LOCAL",
    "AUTO_LOOP_",
)
_KEPT_OUT_WHOLE = frozenset(
    {
        "MASTER_ADDR",
        "MASTER_PORT",
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_NAME",
        "ROLE_WORLD_SIZE",
        "NODE_RANK",
        "CROSS_RANK",
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "KMP_AFFINITY",
        "WANDB_RUN_ID",
        "WANDB_RESUME",
        "WANDB_NAME",
        "WANDB_SERVICE",
        "_WANDB_SERVICE",
        "WANDB_SWEEP_ID",
        "WANDB_DIR",
        "WANDB_RUN_DIR",
        "WANDB_MODE",
        "WANDB_DISABLED",
    }
)


def inherited(env: Mapping[str, str]) -> dict[str, str]:
    """The supervisor's environment without what would undo the job's own settings."""
    return {
        name: value for name, value in env.items() if name not in _KEPT_OUT_WHOLE and not name.startswith(_KEPT_OUT)
    }


def slot_env(slot: Slot, processes: int) -> dict[str, str]:
    """What pins a job to its slot: GPUs by physical number, and its share of the CPU's threads for each process."""
    threads = str(threads_per_process(slot, processes))
    made = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": slot.visible,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    if slot.device is Device.CPU and processes > 1:
        made["ACCELERATE_USE_CPU"] = "true"
    return made


def threads_per_process(slot: Slot, processes: int) -> int:
    """The slot's threads divided among the job's processes, at least one each."""
    return max(1, slot.cpu_threads // max(1, processes))


def wandb_env(cache: Path) -> dict[str, str]:
    """Keeps W&B's cache, config and data in the project folder, and its own crash reports at home."""
    return {
        "WANDB_CACHE_DIR": str(cache / "cache"),
        "WANDB_CONFIG_DIR": str(cache / "config"),
        "WANDB_DATA_DIR": str(cache / "data"),
        "WANDB_ERROR_REPORTING": "false",
    }


def python_path(source: Path | None, inherited_path: str) -> dict[str, str]:
    """PYTHONPATH with `source` in front; nothing to set without one."""
    if source is None:
        return {}
    return {"PYTHONPATH": os.pathsep.join((str(source), inherited_path) if inherited_path else (str(source),))}
