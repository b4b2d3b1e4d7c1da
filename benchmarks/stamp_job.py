"""The peers' own kind of job: says when it starts, naps, says when it ends. Started as `python -S stamp_job.py ...`.

STAMPS names the file that all jobs append to; NAP is the nap in seconds (0: a null job).
"""

import os
import time

stamps = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(stamps, b"start %d %.6f\n" % (os.getpid(), time.time()))
nap = float(os.environ["NAP"])
if nap:
    time.sleep(nap)
os.write(stamps, b"end %d %.6f\n" % (os.getpid(), time.time()))
