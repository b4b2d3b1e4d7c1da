"""The figure of an idle supervisor: what it needs of a core while jobs train and nothing happens."""

import re
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.contestants import HERE
from benchmarks.figure import Figure
from benchmarks.schedulers import Work, autorun, project

GOAL_PERCENT = 0.5
SLOTS = 8
# The launches, the keepers and the first looks are over by then.
_SETTLED_S = 6.0
_NAP_MARGIN_S = 20.0


def idle_figures(seconds: float) -> list[Figure]:
    """CPU time of the supervising process over `seconds`, and of what it holds beside itself, with 8 jobs training."""
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-", ignore_cleanup_errors=True) as folder:
        nap_s = _SETTLED_S + seconds + _NAP_MARGIN_S
        work = Work(folder=Path(folder), jobs=SLOTS, slots=SLOTS, nap_s=nap_s)
        supervisor = autorun(work, *project(work, HERE / "metric_job.py"))
        try:
            _await_jobs(work, supervisor)
            time.sleep(_SETTLED_S)
            own, others = _spent(supervisor.pid, seconds)
        finally:
            for _ in range(2):  # the second one stops the jobs
                supervisor.send_signal(signal.SIGINT)
                time.sleep(0.5)
            supervisor.wait()
    what = f"CPU of the supervisor over {seconds:.0f} s in which {SLOTS} jobs write a line a second each"
    goal = f"<= {GOAL_PERCENT} % of a core"
    return [
        Figure(what=what, who="auto_loop", value=own, unit="%", digits=2, goal=goal, reached=own <= GOAL_PERCENT),
        Figure(what=what, who="auto_loop's keepers, all of them", value=others, unit="%", digits=2),
    ]


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process so far, to the nanosecond; 0 for one that is gone."""
    total = 0
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def keepers(supervisor: int) -> list[int]:
    """The processes that the supervisor holds jobs by: those below it that are no job."""
    below, found = [supervisor], []
    while below:
        parent = below.pop()
        for child in _children(parent):
            below.append(child)
            if "metric_job" not in _command(child):
                found.append(child)
    return found


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _command(pid: int) -> str:
    with suppress(OSError):
        return re.sub("\0", " ", Path(f"/proc/{pid}/cmdline").read_text())
    return ""


def _spent(supervisor: int, seconds: float) -> tuple[float, float]:
    """Percent of a core, of the supervisor and of its keepers together."""
    beside = keepers(supervisor)
    began, own, others = time.monotonic(), cpu_s(supervisor), sum(map(cpu_s, beside))
    time.sleep(seconds)
    took = time.monotonic() - began
    return 100 * (cpu_s(supervisor) - own) / took, 100 * (sum(map(cpu_s, beside)) - others) / took


def _await_jobs(work: Work, supervisor: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while len(list(work.folder.glob("outputs/train/*/*/metrics.jsonl"))) < work.jobs:
        if supervisor.poll() is not None or time.monotonic() > until:
            raise TimeoutError(f"not all jobs began: {(work.folder / 'scheduler.log').read_text()}")
        time.sleep(0.1)
