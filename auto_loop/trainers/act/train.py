"""Train ACT with unbalanced optimal transport: `python train.py --config_path=FILE --a.b=value ...`.

A script that may run where nothing of the project is installed, under `accelerate launch` or by itself. What is wrong
with the config is said before anything heavy is imported, and before anything is made.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run by path: the package's root is to be found, and this folder's modules are no top-level ones
    here = Path(__file__).resolve().parent
    sys.path = [str(here.parents[2]), *(entry for entry in sys.path if Path(entry).resolve() != here)]

import draccus
from draccus.utils import DraccusException

from auto_loop.trainers.act.config import TrainConfig, faults

MISUSE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trainer; returns the exit code."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        config = draccus.parse(TrainConfig, args=list(sys.argv[1:] if arguments is None else arguments))
    except (DraccusException, OSError, ValueError) as fault:
        return _refuse([" ".join(str(fault).split())])
    found = faults(config)
    if _leads() and not config.resume and Path(config.output_dir).exists():
        found.append(f"output_dir: {config.output_dir} exists; name another, or continue it with --resume=true")
    if found:
        return _refuse(found)
    return _run(config)


def _run(config: TrainConfig) -> int:
    from auto_loop.trainers.act.dataset import DataError, prepare

    try:
        prepare(config)
        from auto_loop.trainers.act.training import run

        return run(config)
    except DataError as fault:
        return _refuse(str(fault).splitlines())
    except FileExistsError as fault:
        return _refuse([f"output_dir: {fault.filename} was made by another process meanwhile; name another"])
    except ModuleNotFoundError as fault:
        return _refuse([f"{fault.name} is not installed here; pip install 'auto_loop[act]' brings it"])


def _leads() -> bool:
    """Whether this is the only process of the run, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


def _refuse(found: Sequence[str]) -> int:
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    return MISUSE


def _leave(_signal: int, _frame: object) -> None:
    """Before training has begun there is nothing to save."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
