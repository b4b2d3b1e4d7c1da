"""How a trainer's processes are started: the words before its own, by `accelerate`, `torchrun` or plain Python.

`accelerate launch` fills what it is not told from the user's `default_config.yaml`, whose `gpu_ids` overwrites
CUDA_VISIBLE_DEVICES; so it is told everything, and is given a config file of ours, which keeps it from reading that.
"""

import json
from dataclasses import dataclass
from typing import assert_never

from auto_loop.launch.profile import Precision, Starter

_TORCHRUN = "torch.distributed.run"
_ACCELERATE = "accelerate.commands.launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How many processes a job has and where they compute. `port` is a leased one, needed for several processes."""

    processes: int
    cpu: bool
    threads: int
    port: int | None = None
    precision: Precision = Precision.NO

    @property
    def config_name(self) -> str:
        """The name of its config file: jobs of one layout share it, and no other layout changes it."""
        return f"accelerate_{'cpu' if self.cpu else 'gpu'}{self.processes}_{self.precision.value}.json"


def accelerate_config(layout: Layout) -> str:
    """The text of the config file that stands in for the user's own; JSON, which accelerate reads as well."""
    config = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "NO" if layout.processes == 1 else "MULTI_GPU",
        "debug": False,
        "gpu_ids": "all",
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": layout.precision.value,
        "num_machines": 1,
        "num_processes": layout.processes,
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": layout.cpu,
    }
    return json.dumps(config, indent=2) + "\n"


def start_words(starter: Starter, python: tuple[str, ...], layout: Layout, config_file: str) -> tuple[str, ...]:
    """The command up to the script to run (not included); `python` is the interpreter with its flags."""
    match starter:
        case Starter.ACCELERATE:
            return (*python, "-m", _ACCELERATE, *accelerate_words(layout, config_file))
        case Starter.TORCHRUN:
            return (*python, "-m", _TORCHRUN, *torchrun_words(layout))
        case Starter.PYTHON:
            return python
        case _:
            assert_never(starter)


def accelerate_words(layout: Layout, config_file: str) -> tuple[str, ...]:
    """All that `accelerate launch` would otherwise take from the user's file or warn about."""
    words = (
        f"--config_file={config_file}",
        f"--num_processes={layout.processes}",
        "--num_machines=1",
        "--machine_rank=0",
        "--gpu_ids=all",
        f"--mixed_precision={layout.precision.value}",
        "--dynamo_backend=no",
        "--quiet",  # or its own traceback would be the log's last lines, after the trainer's
        f"--num_cpu_threads_per_process={layout.threads}",
    )
    if layout.processes > 1:
        # --cpu would start one process all the same; the environment's ACCELERATE_USE_CPU keeps these on the CPU.
        return (*words, "--multi_gpu", f"--main_process_port={layout.port}")
    return (*words, "--cpu") if layout.cpu else words


def torchrun_words(layout: Layout) -> tuple[str, ...]:
    """One machine; a rendezvous of its own for one process, the leased port for several."""
    words = ("--nnodes=1", f"--nproc_per_node={layout.processes}")
    return (*words, f"--master_port={layout.port}") if layout.port is not None else (*words, "--standalone")
