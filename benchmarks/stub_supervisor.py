"""The supervising process on the stub launcher: what the loop itself costs, without any process that trains.

`python -m benchmarks.stub_supervisor resume`: go on with the loop of the seeded project in this folder, and say what
each finished job cost. `... rounds N SLOTS`: a loop of N rounds of SLOTS jobs, and what it weighs on the way.
The last line is JSON.
"""

import importlib
import itertools
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from auto_loop.assembly.running import Front, run_autorun
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.event import Event
from auto_loop.domain.job import Exit, Handle
from auto_loop.launch.base import LaunchRequest, Status
from auto_loop.launch.stub import Act, FakeClock, StubLauncher
from benchmarks.contestants import ROOT
from benchmarks.schedulers import STUDY
from benchmarks.supervisor import sizes

ROWS, METRICS = 20, 5
_NAP_S = 10.0
# No two attempts that run side by side end at once, and between two ends lies a look at what runs.
_STAGGER_S, _STAGGERED = 1.25, 8
# Every round has a config that the study has not tried.
PACK = """
[objective]
metric = "eval/loss"
direction = "lower"

[[rule]]
name = "more"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 1.0009 }
reason = "loss ended at {last('eval/loss')}"
group = "lr"
"""


class ForgetfulStub(StubLauncher):
    """Keeps nothing of attempts that were seen to end: what it holds would be weighed with the supervisor."""

    def launch(self, request: LaunchRequest) -> Handle:
        """A handle, told from others by its token."""
        handle = super().launch(request)
        self.requests.clear()
        return handle

    def poll(self, handle: Handle, exit_file: Path) -> Status:
        """As the stub says it; an end is said once."""
        status = super().poll(handle, exit_file)
        if isinstance(status, Exit):
            self._attempts.pop(handle, None)
        return status


@dataclass(slots=True)
class CostOfJobs:
    """CPU seconds of this process between the ends of jobs, an observer."""

    cpu_s: list[float] = field(default_factory=list)
    _last: float | None = None

    def on_event(self, event: Event) -> None:
        if event.kind == "job ended":
            now = time.process_time()
            if self._last is not None:
                self.cpu_s.append(now - self._last)
            self._last = now


@dataclass(slots=True)
class WeightOverRounds:
    """Resident memory (MiB) by round, and the CPU seconds so far, an observer."""

    every: int
    rss: list[float] = field(default_factory=list)
    pss: float = 0.0
    peak: float = 0.0
    cpu_s: list[float] = field(default_factory=list)
    rounds: int = 0

    def on_event(self, event: Event) -> None:
        if event.kind == "loop started":
            self.weigh()
        if event.kind == "round decided":
            self.rounds += 1
            if self.rounds % self.every == 0:
                self.weigh()

    def weigh(self) -> None:
        """Add the sizes as they are now."""
        self.rss.append(sizes(Path("/proc/self/status"))["VmRSS"])
        self.pss = max(self.pss, sizes(Path("/proc/self/smaps_rollup"))["Pss"])
        self.cpu_s.append(time.process_time())

    def close(self) -> None:
        """Look a last time."""
        self.weigh()
        self.peak = sizes(Path("/proc/self/status"))["VmHWM"]


def logs(request: LaunchRequest) -> None:
    """What a trainer would have left: a history of a few metrics."""
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    folder = request.cwd / words["--output_dir"]
    folder.mkdir(parents=True)
    names = ["eval/loss", *(f"train/metric_{number}" for number in range(METRICS - 1))]
    rows = ({"step": step, **dict.fromkeys(names, 1.0 / step)} for step in range(1, ROWS + 1))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def supervise(call: AutorunCall, observer: "CostOfJobs | WeightOverRounds") -> None:
    """The loop as the front door joins it, with the stub in the launcher's place, on a clock that jumps."""
    for name in ("auto_loop.cli.autorun", "auto_loop.cli.progress"):  # the front door weighs too
        importlib.import_module(name)
    clock = FakeClock(time.time())
    naps = itertools.cycle(_NAP_S + _STAGGER_S * number for number in range(_STAGGERED))
    launcher = ForgetfulStub(lambda _: Act(duration_s=next(naps), on_end=logs), clock)
    around = replace(Surroundings.here(), clock=clock)
    # Reports are drawn by children, which are not what is measured; on this clock there would be one after another.
    sys.executable = shutil.which("true") or sys.executable
    front = Front(observer=observer, say=lambda text: print(text, file=sys.stderr), launcher=lambda: launcher)
    run_autorun(call, front, around)


def main() -> None:
    match sys.argv[1:]:
        case ["resume"]:
            cost = CostOfJobs()
            supervise(AutorunCall(study=STUDY, resume=True, execute=True), cost)
            print(json.dumps({"cpu_s": cost.cpu_s}))
        case ["rounds", rounds, slots]:
            weight = WeightOverRounds(every=max(1, int(rounds) // 10))
            supervise(_rounds_call(int(rounds), int(slots)), weight)
            weight.close()
            print(json.dumps(asdict(weight)))
        case _:
            sys.exit(__doc__)


def _rounds_call(rounds: int, slots: int) -> AutorunCall:
    Path("pack.toml").write_text(PACK)
    names = tuple(f"base{number}.json" for number in range(slots))
    whole = json.loads((ROOT / "train_configs" / "act_ot_baseline.json").read_text())  # a config of the usual size
    for number, name in enumerate(names):
        Path(name).write_text(json.dumps({**whole, "lr": 10.0**-number, "seed": number}))
    return AutorunCall(
        cfgs=names,
        study=STUDY,
        pack="pack.toml",
        profile="script.toml",
        train_script="train.py",
        device="cpu",
        concurrency=slots,
        decide=True,
        rounds=rounds,
        variants_per_run=1,
        round_size=slots,
        execute=True,
    )


if __name__ == "__main__":
    main()
