"""A job whose `mass` is gone after a while: it writes down when the dead reading was on disk, and when SIGTERM came.

Started as `python -S dying_job.py --output_dir=FOLDER ...`.
"""

import json
import os
import random
import signal
import sys
import time

folder = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output_dir="))
os.makedirs(folder)
died = 0.0


def ended(*_: object) -> None:
    with open(os.path.join(folder, "times.json"), "w", encoding="ascii") as times:
        json.dump({"died": died, "asked": time.time()}, times)
    sys.exit(0)


signal.signal(signal.SIGTERM, ended)
lives = random.randint(8, 40)  # so that it dies anywhere between two looks of the supervisor
with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="ascii", buffering=1) as history:
    for step in range(1, lives):
        history.write(f'{{"step": {step}, "mass": 0.5, "loss": {1 + 1 / step:.9f}}}\n')
        time.sleep(random.uniform(0.05, 0.15))
    history.write(f'{{"step": {lives}, "mass": 0.0, "loss": 1.0}}\n')
    died = time.time()
    while True:
        time.sleep(60)
