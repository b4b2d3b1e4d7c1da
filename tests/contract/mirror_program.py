"""Logs by every way that scripts log, one wandb run a case; run under `run.py`, with some version of wandb on the path.

Leaves `result.json`: {case: {"folder": run folder, "rows": what that run's `.wandb` holds}}. Then the mirror's rows
can be held against what wandb itself wrote of the same calls.
"""

import glob
import json
import multiprocessing
import os
import random
import sys
import time

import numpy as np
import wandb

sys.path.insert(0, os.environ["ORACLE"])
from decode import decode

# 0.16 replaces a whole nested value where the later versions merge it, so a row gets each nested key once there.
MERGES_NESTED = not wandb.__version__.startswith("0.16.")


def steps(run):
    run.log({"a": 0})
    wandb.log({"a": 1.5, "train/loss": 2})
    run.log({"b": 1}, commit=False)
    run.log({"b": 2, "c": 3}, commit=False)
    run.log({"c": 4})
    run.log({"a": 7}, step=10)
    run.log({"b": 8}, step=10)
    wandb.log({"b": 9}, step=12, commit=True)
    run.log({"a": 99, "lost": 1}, step=5)
    run.log({"lost": 1}, step=5, commit=True)
    run.log({"a": 10})
    run.log({})
    run.log({"_step": 3, "a": 11})
    run.log({"a": 12}, commit=False)


def values(run):
    run.define_metric("own_step")
    run.define_metric("val/*", step_metric="own_step")
    for own in range(3):
        run.log({"own_step": own * 10, "val/l1": own / 7, "val/cost": np.float32(own / 3)})
    run.log({"train": {"loss": 0.1, "opt": {"lr": 1e-4}}, "dotted.key": 1})
    run.log({"nan": float("nan"), "up": float("inf"), "down": -float("inf"), "numpy nan": np.float64("nan")})
    run.log({"flag": True, "none": None, "text": 'caf\u00e9 "quoted"\n', "int": 2**53 + 1, "npint": np.int64(3)})
    run.log({"one": np.array([1.5]), "few": np.arange(4), "list": [1, 2.5], "npflag": np.bool_(True)})
    run.log({"histogram": wandb.Histogram([1, 2, 3], num_bins=4), "many": np.arange(100.0)})
    run.log({"page": wandb.Html("<p>x</p>"), "after": 1})


def anything(run):
    dice = random.Random(wandb.__version__)
    makers = {
        "a": dice.random,
        "b": lambda: dice.randrange(5),
        "n": lambda: {"x": dice.random(), "y": {"z": dice.random()}} if MERGES_NESTED else dice.random(),
        "c/d": lambda: float("inf"),
    }
    for _ in range(80):
        names = dice.sample(sorted(makers), dice.randrange(4))
        step = dice.choice([None, None, None, dice.randrange(60)])
        run.log({name: makers[name]() for name in names}, step=step, commit=dice.choice([None, None, True, False]))


def forked(run):
    """As a data-loader worker that logs to its parent's run; to ask for the summary is to wait for the rows."""
    run.log({"parent": 1}, step=0, commit=True)
    run.summary.get("parent")
    child = os.fork()
    if child == 0:
        run.log({"worker": 2}, step=1, commit=True)
        run.summary.get("worker")
        os._exit(0)
    os.waitpid(child, 0)
    run.log({"parent": 3}, step=2)


def in_spawned(arguments, folders):
    run = wandb.init(**arguments)
    run.log({"spawned": 1})
    run.log({"spawned": 2})
    folders.put(os.path.dirname(run.dir))
    run.finish()


def init_arguments(case):
    return {"project": "mirror", "mode": "offline", "name": case, "dir": ".", "group": os.environ.get("RANK", "0")}


def ended(folder):
    """The decoded run, once the process that writes it has come to the end of the file."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (file,) = glob.glob(folder + "/run-*.wandb")
        try:
            decoded = decode(file)
        except ValueError:
            decoded = {"ended": False}
        if decoded["ended"]:
            return decoded
        time.sleep(0.05)
    raise TimeoutError(folder)


def main():
    folders = {}
    for case in (steps, values, anything, forked):
        run = wandb.init(**init_arguments(case.__name__))
        case(run)
        folders[case.__name__] = os.path.dirname(run.dir)
        run.finish()
    disabled = wandb.init(mode="disabled")
    disabled.log({"a": 1})
    disabled.finish()
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        answers = context.SimpleQueue()
        child = context.Process(target=in_spawned, args=(init_arguments(method), answers))
        child.start()
        child.join()
        folders[method] = answers.get()
    result = {case: {"folder": folder, "rows": ended(folder)["rows"]} for case, folder in folders.items()}
    with open("result.json", "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
