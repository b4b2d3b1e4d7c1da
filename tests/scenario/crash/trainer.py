"""A tiny trainer: logs a falling loss for as long as its config says, and keeps a diary outside of its project."""

import argparse
import json
import os
import time
from pathlib import Path


def say(what: str, output: str) -> None:
    """One line of the diary; a single small append, so that lines of several trainers never mix."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "-"
    words = [f"{time.time():.6f}", what, str(os.getpid()), os.environ["AUTO_LOOP_TOKEN"], visible, output]
    with open(os.environ["CRASH_DIARY"], "a") as diary:
        diary.write(" ".join(words) + "\n")


parser = argparse.ArgumentParser()
for name in ("config_path", "steps", "log_freq", "eval_freq", "output_dir"):
    parser.add_argument(f"--{name}")
call = parser.parse_args()
say("start", call.output_dir)
config = json.loads(Path(call.config_path).read_text())
folder = Path(call.output_dir)
folder.mkdir(parents=True)
steps = range(int(call.log_freq), int(call.steps) + 1, int(call.log_freq))
with (folder / "metrics.jsonl").open("w") as log:
    for step in steps:
        time.sleep(config["seconds"] / len(steps))
        print(json.dumps({"step": step, "eval/loss": config["lr"] + 1 / step}), file=log, flush=True)
say("end", call.output_dir)
