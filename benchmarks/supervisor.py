"""The supervising process of a benchmark: the loop as `autorun --exec` joins it, on the project in this folder.

`python -m benchmarks.supervisor SCRIPT JOBS SLOTS [--bare] [--profile NAME] [--weigh]`; its last line says as JSON
what it needed of memory. `--bare` leaves keeper and runner out, as no user can: it measures what they cost.
"""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from auto_loop.assembly.prepare import prepare
from auto_loop.assembly.running import Front, execute
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.event import Event
from auto_loop.launch.local import LocalLauncher

_KB_IN_MIB = 1024


@dataclass(slots=True)
class Weight:
    """What this process needed of memory, in MiB, and the packages that it loaded. An observer that weighs whenever a
    run was measured, if `often`.
    """

    often: bool = False
    at_start: float = 0.0
    rss: float = 0.0
    pss: float = 0.0
    peak: float = 0.0
    modules: tuple[str, ...] = ()

    def on_event(self, event: Event) -> None:
        if event.kind == "loop started":
            self.at_start = sizes(Path("/proc/self/status"))["VmRSS"]
        if self.often and event.kind == "job measured":
            self.weigh()

    def weigh(self) -> None:
        """Keep the most that was seen."""
        now = sizes(Path("/proc/self/smaps_rollup"))
        self.rss, self.pss = max(self.rss, now["Rss"]), max(self.pss, now["Pss"])

    def close(self) -> None:
        """Look a last time."""
        self.weigh()
        self.peak = sizes(Path("/proc/self/status"))["VmHWM"]
        self.modules = tuple(sorted(name for name in sys.modules if "." not in name))


def sizes(file: Path) -> Mapping[str, float]:
    """The sizes in a /proc file, in MiB by their names."""
    return {name: int(kb) / _KB_IN_MIB for name, kb in re.findall(r"(?m)^(\w+):\s+(\d+) kB$", file.read_text())}


def call_of(asked: argparse.Namespace) -> AutorunCall:
    """As `autorun --exec --device cpu --concurrency SLOTS --profile ... --train-script ... --cfgs job*.json`.

    When it is weighed, `--decide` too: the rules have the series of a whole round held for them.
    """
    return AutorunCall(
        cfgs=tuple(f"job{number:03}.json" for number in range(asked.jobs)),
        profile=asked.profile,
        train_script=asked.script,
        concurrency=asked.slots,
        device="cpu",
        decide=asked.weigh,
        study="benchmark",
        execute=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("script")
    parser.add_argument("jobs", type=int)
    parser.add_argument("slots", type=int)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--profile", default="script.toml")
    parser.add_argument("--weigh", action="store_true")
    asked = parser.parse_args()
    around = Surroundings.here()
    prepared = prepare(call_of(asked), around)
    if asked.bare:
        prepared = replace(prepared, options=replace(prepared.options, runner=False))
    if asked.weigh:
        importlib.import_module("auto_loop.cli.autorun")  # the front door weighs too
        importlib.import_module("auto_loop.cli.progress")
    weight = Weight(often=asked.weigh)
    front = Front(
        observer=weight,
        say=lambda text: print(text, file=sys.stderr),
        launcher=lambda: LocalLauncher(bare=asked.bare),
    )
    code = execute(prepared, front, around)
    weight.close()
    print(json.dumps(asdict(weight)))
    return code


if __name__ == "__main__":
    sys.exit(main())
