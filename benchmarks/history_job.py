"""A job that leaves a history, for weighing the supervisor: 500 rows of 33 metrics in `wandb-history.jsonl`.

Started as `python -S history_job.py --output_dir=FOLDER ...`.
"""

import os
import sys

ROWS, KEYS = 500, 33
folder = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output_dir="))
files = os.path.join(folder, "wandb", "offline-run-20260101_000000-bench", "files")
os.makedirs(files)
with open(os.path.join(files, "wandb-history.jsonl"), "w", encoding="ascii") as history:
    for step in range(ROWS):
        values = ", ".join(f'"train/metric_{key:02}": {1 / (1 + step + key):.9f}' for key in range(KEYS))
        history.write(f'{{"_step": {step}, "_runtime": {step / 7:.3f}, "_timestamp": {step / 7:.3f}, {values}}}\n')
