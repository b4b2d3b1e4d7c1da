"""A job that trains for half a second to two, as its config's learning rate has it, and leaves its loss.

Started as `python -S steady_job.py --config_path=FILE --output_dir=FOLDER ...`. It stamps its own start and end, with
its name, into the file STAMPS.
"""

import hashlib
import json
import os
import sys
import time

SHORTEST_S, LONGEST_S = 0.5, 2.0
words = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
folder, name = words["output_dir"], os.path.basename(words["output_dir"])
stamps = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(stamps, f"start {name} {time.time():.6f}\n".encode())
with open(words["config_path"], encoding="utf-8") as file:
    rate = json.load(file)["lr"]
luck = int(hashlib.sha256(repr(rate).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
time.sleep(SHORTEST_S + luck * (LONGEST_S - SHORTEST_S))
os.makedirs(folder)
with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="ascii") as history:
    for step in (10, 20, 30):
        history.write(f'{{"step": {step}, "eval/loss": {luck + 1 / step:.6f}}}\n')
os.write(stamps, f"end {name} {time.time():.6f}\n".encode())
