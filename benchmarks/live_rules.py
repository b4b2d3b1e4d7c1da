"""The figure of live rules: how long a job goes on after the reading that ends it is on disk."""

import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.contestants import HERE
from benchmarks.figure import Figure
from benchmarks.schedulers import Work, autorun, project

GOAL_S = 2.0
SLOTS = 4
_PACK = """
[[stop]]
name = "dead"
when = 'value("mass") < 1e-6'
reason = "mass is {value('mass')}"
"""


def live_rule_figures(jobs: int) -> list[Figure]:
    """Median and longest time from the metric on disk to the SIGTERM, of `jobs` jobs on four slots."""
    with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-", ignore_cleanup_errors=True) as folder:
        work = Work(folder=Path(folder), jobs=jobs, slots=SLOTS)
        words = project(work, HERE / "dying_job.py")
        (work.folder / "pack.toml").write_text(_PACK)
        if autorun(work, "--pack", "pack.toml", *words).wait() != 0:
            raise RuntimeError(f"the loop failed: {(work.folder / 'scheduler.log').read_text()}")
        times = [json.loads(file.read_text()) for file in work.folder.glob("outputs/train/*/*/times.json")]
    waits = [one["asked"] - one["died"] for one in times]
    if len(waits) < jobs or not all(one["died"] for one in times):
        raise RuntimeError(f"of {jobs} jobs {len(waits)} were stopped")
    longest = max(waits)
    what = f"from a metric on disk to the SIGTERM of a live rule, {jobs} jobs on {SLOTS} slots"
    goal = f"<= {GOAL_S:.0f} s"
    return [
        Figure(what=what, who="median", value=statistics.median(waits), unit="s", digits=2),
        Figure(what=what, who="longest", value=longest, unit="s", digits=2, goal=goal, reached=longest <= GOAL_S),
    ]
