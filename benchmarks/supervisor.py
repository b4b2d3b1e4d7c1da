"""The supervising process of a benchmark: the loop as `autorun --exec` joins it, on the project in this folder.

`python -m benchmarks.supervisor SCRIPT JOBS SLOTS [--bare] [--profile NAME] [--prepared N]`; its last line is what it
used of memory, as JSON. `--bare` leaves keeper and runner out, which no user can: it measures what they cost.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from auto_loop.assembly.prepare import prepare
from auto_loop.assembly.running import Front, execute
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.event import Event
from auto_loop.launch.local import LocalLauncher

MIB = 1024  # kB


@dataclass(slots=True)
class Scale:
    """An observer that weighs this process whenever a run has been measured."""

    rss: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)

    def on_event(self, event: Event) -> None:
        if event.kind == "job measured":
            found = sizes(Path("/proc/self/smaps_rollup"))
            self.rss.append(found["Rss"])
            self.pss.append(found["Pss"])


def sizes(file: Path) -> dict[str, float]:
    """The sizes in a /proc file, in MiB by their names."""
    return {name: int(kb) / MIB for name, kb in re.findall(r"(?m)^(\w+):\s+(\d+) kB$", file.read_text())}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("script")
    parser.add_argument("jobs", type=int)
    parser.add_argument("slots", type=int)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--profile", default="script.toml")
    parser.add_argument("--weigh", action="store_true")
    asked = parser.parse_args()
    call = AutorunCall(
        cfgs=tuple(f"job{number:03}.json" for number in range(asked.jobs)),
        profile=asked.profile,
        train_script=asked.script,
        concurrency=asked.slots,
        device="cpu",
        study="benchmark",
        execute=True,
    )
    around = Surroundings.here()
    prepared = prepare(call, around)
    if asked.bare:
        prepared = replace(prepared, options=replace(prepared.options, runner=False))
    scale = Scale()

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    class Quiet:
        def on_event(self, event: Event) -> None:
            """Nothing."""

    front = Front(
        observer=scale if asked.weigh else Quiet(), say=say, launcher=lambda: LocalLauncher(bare=asked.bare)
    )
    code = execute(prepared, front, around)
    peak = sizes(Path("/proc/self/status"))["VmHWM"]
    figures = {"rss": max(scale.rss, default=0), "pss": max(scale.pss, default=0), "peak": peak}
    print(json.dumps({**figures, "modules": sorted(name for name in sys.modules if "." not in name)}))
    return code


if __name__ == "__main__":
    sys.exit(main())
