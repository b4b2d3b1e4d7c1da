"""A job that trains for half a second to two, as its config's learning rate has it, and leaves its loss.

Started as `python -S steady_job.py --config_path=FILE --output_dir=FOLDER ...`. It stamps its own start and end, with
its name, into the file STAMPS; before the first stamp it loads no more than the other benchmarks' jobs do.
"""

import os
import sys
import time

SHORTEST_S, LONGEST_S = 0.5, 2.0
folder = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output_dir="))
name = folder.rsplit("/", 1)[-1]
stamps = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(stamps, b"start %s %.6f\n" % (name.encode(), time.time()))
with open(next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--config_path=")), "rb") as file:
    config = file.read()
luck = (int.from_bytes(config, "big") % 1_000_003) / 1_000_003  # as good as chance, and the same for the same config
time.sleep(SHORTEST_S + luck * (LONGEST_S - SHORTEST_S))
os.makedirs(folder)
with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="ascii") as history:
    for step in (10, 20, 30):
        history.write(f'{{"step": {step}, "eval/loss": {luck + 1 / step:.6f}}}\n')
os.write(stamps, b"end %s %.6f\n" % (name.encode(), time.time()))
