"""A job that trains for NAP seconds and writes a line of metrics every second. Started as `python -S metric_job.py
--output_dir=FOLDER ...`.
"""

import os
import sys
import time

METRICS = 10
folder = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output_dir="))
os.makedirs(folder)
until, step = time.monotonic() + float(os.environ["NAP"]), 0
with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="ascii", buffering=1) as history:
    while time.monotonic() < until:
        step += 1
        # The loss is what the live rules of the default pack look at, at every line.
        values = ", ".join(f'"train/metric_{number:02}": {1 / (step + number):.9f}' for number in range(1, METRICS))
        values += f', "train/loss": {1 / step:.9f}'
        history.write(f'{{"step": {step}, {values}}}\n')
        time.sleep(1.0)
