"""Logs one fixed programme with whichever wandb is importable: what every fixture holds.

Run in a process of its own: `python log_program.py PART` with PART 1 or 2. Part 2 resumes part 1's run under the same
id, which offline makes a second run folder. Each part ends by leaving the rows that it meant to log as
`intended_<part>.json`.
"""

import json
import math
import sys

import wandb

RUN_ID = "fixture01"
LONG_TEXT = "spanning " * 3800
WIDE = 12


def start():
    return wandb.init(
        entity="fixtures",
        project="auto-loop",
        id=RUN_ID,
        name="fixture",
        resume="allow",
        mode="offline",
        config={"lr": 0.001, "steps": 40},
    )


def part_one(run):
    run.define_metric("train/loss", summary="min")
    rows = {}
    for step in range(12):
        rows[step] = {f"wide/{k:02d}": step + k / 64 for k in range(WIDE)}
        rows[step]["train/loss"] = 1.0 / (step + 1)
        run.log(dict(rows[step]), step=step)
    run.log({"eval": {"l1": 0.5, "deep": {"er": 3}}, "dotted.key": 1}, step=11, commit=False)
    rows[11].update({"eval.l1": 0.5, "eval.deep.er": 3, "dotted.key": 1})
    wandb.log({"train/loss": math.nan, "up": math.inf, "down": -math.inf}, step=12, commit=True)
    rows[12] = {"train/loss": math.nan, "up": math.inf, "down": -math.inf}
    run.log({"note": LONG_TEXT, "flag": True, "none": None})
    rows[13] = {"note": LONG_TEXT, "flag": True, "none": None}
    run.log({"train/loss": 99.0}, step=3)  # late: wandb drops it
    run.log({"count": 2**40, "unit \u00b5": "caf\u00e9"})
    rows[14] = {"count": 2**40, "unit \u00b5": "caf\u00e9"}
    return rows


def part_two(run):
    rows = {}
    for step in range(13, 22):
        rows[step] = {"train/loss": 0.01 * step, "part": 2}
        run.log(dict(rows[step]), step=step)
    return rows


def main(part):
    run = start()
    rows = {"1": part_one, "2": part_two}[part](run)
    run.finish()
    with open(f"intended_{part}.json", "w") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main(sys.argv[1])
