"""`python -m tests.scenario.crash --kills 200 --seed 1 [--gpus 2] [--also-keepers]`: the books as a table and as JSON.

The exit code is 1 when any count is not 0. `--keep FOLDER` leaves the night there to be looked at.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.scenario.crash.books import Books, audit
from tests.scenario.crash.evidence import gather
from tests.scenario.crash.night import Kind, Night


def main(arguments: list[str]) -> int:
    """One night, told."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenario.crash", description="Kill the supervisor, count.")
    parser.add_argument("--kills", type=int, default=200, help="how often the supervisor is killed [200]")
    parser.add_argument("--seed", type=int, default=1, help="decides when; the same seed gives the same moments [1]")
    parser.add_argument("--gpus", type=int, default=0, help="that many faked GPUs instead of two CPU slots")
    parser.add_argument("--also-keepers", action="store_true", help="kill keepers, too: attempts may be lost")
    parser.add_argument("--retries", type=int, help="the loop's own --retries")
    parser.add_argument("--keep", type=Path, help="a folder for the night; it must be new")
    call = parser.parse_args(arguments)
    kind = Kind(kills=call.kills, seed=call.seed, gpus=call.gpus, keepers_too=call.also_keepers, retries=call.retries)
    with tempfile.TemporaryDirectory() as scratch:
        night = Night(root=(call.keep or Path(scratch)).absolute() / "night", kind=kind)
        began = time.monotonic()
        night.pass_by()
        seconds = time.monotonic() - began
        books = audit(gather(night.root, night.diary, night.cries), may_lose_attempts=kind.keepers_too)
    print(told(night, books, seconds))
    return 0 if books.clean else 1


def told(night: Night, books: Books, seconds: float) -> str:
    """The table, every fault in words, and the same as one line of JSON."""
    counts = {
        "kills": sum(night.deaths.values()),
        **{f"  {moment}": count for moment, count in sorted(night.deaths.items())},
        "supervisors started": night.starts,
        "loops": night.loops,
        "jobs": books.jobs,
        "results": books.results,
        "executions": books.executions,
        **{kind: len(found) for kind, found in books.faults.items()},
        "seconds": round(seconds, 1),
    }
    table = [f"{name:<24} {count:>8}" for name, count in counts.items()]
    words = [f"{kind}: {text}" for kind, found in books.faults.items() for text in found]
    return "\n".join([*table, *words, json.dumps({name.strip(): count for name, count in counts.items()})])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
