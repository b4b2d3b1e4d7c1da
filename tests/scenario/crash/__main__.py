"""The long crash suite, by one command; the books as a table, every fault in words, and one line of JSON.

`python -m tests.scenario.crash --kills 200 --seed 1 [--gpus 2] [--also-keepers]` is a night of random kills;
`python -m tests.scenario.crash --faults` dies at every fault point. The exit code is 1 when any count is not 0.
`--keep FOLDER` leaves the projects there to be looked at.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.scenario.crash import faults
from tests.scenario.crash.books import Books, audit
from tests.scenario.crash.evidence import gather
from tests.scenario.crash.night import Kind, Night


def main(arguments: list[str]) -> int:
    """One night, or a death at every fault point, told."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenario.crash", description="Kill the supervisor, count.")
    parser.add_argument("--kills", type=int, default=200, help="how often the supervisor is killed [200]")
    parser.add_argument("--seed", type=int, default=1, help="decides when; the same seed draws the same moments [1]")
    parser.add_argument("--gpus", type=int, default=0, help="that many faked GPUs instead of two CPU slots")
    parser.add_argument("--also-keepers", action="store_true", help="kill keepers, too: attempts may be lost")
    parser.add_argument("--retries", type=int, help="the loop's own --retries")
    parser.add_argument("--faults", action="store_true", help="die at every fault point instead")
    parser.add_argument("--every", type=int, default=1, help="with --faults: only at every so many of them [1]")
    parser.add_argument("--keep", type=Path, help="a folder for the projects; it must be new")
    call = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (call.keep or Path(scratch)).absolute()
        counts, books = at_fault_points(folder, call) if call.faults else at_random(folder, call)
    print(told({**counts, "seconds": round(time.monotonic() - began)}, books))
    return 0 if all(one.clean for one in books) else 1


def at_random(folder: Path, call: argparse.Namespace) -> tuple[Mapping[str, int], list[Books]]:
    """A night of kills at moments that the seed draws."""
    kind = Kind(kills=call.kills, seed=call.seed, gpus=call.gpus, keepers_too=call.also_keepers, retries=call.retries)
    night = Night(root=folder / "night", kind=kind)
    night.pass_by()
    books = audit(gather(night.root, night.diary, night.cries), may_lose_attempts=kind.keepers_too)
    deaths = {f"killed {moment}": count for moment, count in sorted(night.deaths.items())}
    return {**deaths, "supervisors started": night.starts, "loops": night.loops}, [books]


def at_fault_points(folder: Path, call: argparse.Namespace) -> tuple[Mapping[str, int], list[Books]]:
    """A death at every fault point, each in a project of its own."""
    found = list(faults.cases(folder, call.every))
    deaths = Counter(f"killed {case.moment}" for case in found if case.reached)
    return {**dict.fromkeys((f"killed {moment}" for moment in faults.MOMENTS), 0), **deaths}, [
        one.books for one in found
    ]


def told(counts: Mapping[str, int], books: Iterable[Books]) -> str:
    """The table, every fault in words, and the same as one line of JSON."""
    sums: Counter[str] = Counter()
    words = []
    for one in books:
        sums.update({"jobs": one.jobs, "results": one.results, "executions": one.executions})
        sums.update({kind: len(found) for kind, found in one.faults.items()})
        words += [f"{kind}: {text}" for kind, found in one.faults.items() for text in found]
    whole = {**counts, **sums}
    table = [f"{name:<24} {count:>8}" for name, count in whole.items()]
    return "\n".join([*table, *words, json.dumps(whole)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
