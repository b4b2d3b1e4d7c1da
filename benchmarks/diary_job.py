"""A job that keeps a diary: one line when it starts, one when it ends. Started as `python -S diary_job.py ... NAME`.

DIARY names the file that all jobs append to, NAP the seconds between its lines. The job's name is the file of its
`--config_path=...`, else its last word.
"""

import os
import sys
import time

named = [word.split("=", 1)[1] for word in sys.argv if word.startswith("--config_path=")]
name = os.path.basename([*sys.argv, *named][-1]).removesuffix(".json")
diary = os.open(os.environ["DIARY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(kind: str) -> None:
    os.write(diary, f"{kind} {name} {os.getpid()} {time.time():.6f}\n".encode())


note("start")
time.sleep(float(os.environ["NAP"]))
note("end")
