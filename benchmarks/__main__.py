"""All figures in one table: `python -m benchmarks [NAME ...]`.

Hand-offs, rates and busy shares are taken from all contestants in turns in the same run: trust the ratios, not the
milliseconds. Goals are set beside them; a miss is said, and ends nothing.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import process, slots, wandb_reader
from benchmarks.contestants import tsp_missing
from benchmarks.figure import Figure, table
from benchmarks.growth import event_figures, round_figures
from benchmarks.idle import idle_figures
from benchmarks.live_rules import live_rule_figures
from benchmarks.proposals import COUNT, proposal_figures
from benchmarks.recovery import recovery_figures
from benchmarks.schedulers import schedulers
from benchmarks.steady import steady_figures


def main() -> None:
    asked = _parser().parse_args()
    measures: dict[str, Callable[[], list[Figure]]] = {
        "rate": lambda: slots.rate_figures(asked.null_jobs, asked.times),
        "handoff": lambda: slots.handoff_figures(asked.jobs, asked.times),
        "recovery": lambda: recovery_figures(asked.killed_jobs, asked.restarts, asked.peers),
        "events": lambda: event_figures(asked.turns),
        "idle": lambda: idle_figures(asked.idle_s),
        "live": lambda: live_rule_figures(asked.stopped_jobs),
        "rounds": lambda: round_figures(asked.rounds),
        "accelerate": slots.accelerate_figures,
        "help": process.help_figures,
        "memory": process.memory_figures,
        "wandb": reader_figures,
        "steady": lambda: steady_figures(asked.steady_rounds, asked.times),
        "proposals": lambda: proposal_figures(asked.bad_proposals),
    }
    unknown = [name for name in asked.names if name not in measures]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(measures)}")
    notes = (
        schedulers(asked.peers)[1] if "recovery" in (asked.names or measures) else list(filter(None, [tsp_missing()]))
    )
    load_before, began = os.getloadavg()[0], time.monotonic()
    figures: list[Figure] = []
    for name in asked.names or measures:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures += measures[name]()
    machine = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "seconds": round(time.monotonic() - began),
    }
    if asked.json:
        print(json.dumps({"machine": machine, "figures": [one.as_json() for one in figures], "notes": notes}, indent=1))
        return
    print(
        "\n".join(
            [
                ", ".join(f"{name} {value}" for name, value in machine.items()),
                *(f"note: {note}" for note in notes),
                "",
                table(figures),
            ]
        )
    )
    missed = [f"{one.who}: {one.what}" for one in figures if one.reached is False]
    print(f"\n{len(missed)} goals missed" + "".join(f"\n- {each}" for each in missed))


def reader_figures() -> list[Figure]:
    """The `.wandb` reader's, which words its figures itself."""
    return [wandb_figure(*each) for each in wandb_reader.figures()]


def wandb_figure(what: str, text: str, goal: str) -> Figure:
    """From `29,000 rows/s (28,000)` and `>= 25,000`: CPU time counts, the clock's figure is a note."""
    number, unit, clock = text.split()
    value = float(number.replace(",", ""))
    limit = float(goal.split()[1].replace(",", "")) if goal else 0.0
    reached = (value >= limit if goal.startswith(">=") else value <= limit) if goal else None
    note = f"CPU time; on the clock {clock.strip('()')}"
    digits = 2 if unit == "ms" else 0
    return Figure(
        what=what, who="auto_loop", value=value, unit=unit, digits=digits, goal=goal, reached=reached, note=note
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="see docs/benchmarks.md  [default: all]")
    parser.add_argument("--jobs", type=int, default=20, help="jobs of one second for the hand-off  [default: 20]")
    parser.add_argument("--null-jobs", type=int, default=300, help="null jobs for the rate  [default: 300]")
    parser.add_argument("--times", type=int, default=2, help="races of each contestant  [default: 2]")
    parser.add_argument("--killed-jobs", type=int, default=12, help="jobs under a killed scheduler  [default: 12]")
    parser.add_argument("--restarts", type=int, default=5, help="timed restarts of each  [default: 5]")
    parser.add_argument("--turns", type=int, default=5, help="seeded ledgers of each length  [default: 5]")
    parser.add_argument("--idle-s", type=float, default=20, help="seconds of watching idleness  [default: 20]")
    parser.add_argument("--stopped-jobs", type=int, default=24, help="jobs that a live rule ends  [default: 24]")
    parser.add_argument("--rounds", type=int, default=1000, help="rounds of 8 jobs to weigh  [default: 1000]")
    parser.add_argument("--steady-rounds", type=int, default=12, help="rounds of the searches  [default: 12]")
    parser.add_argument("--bad-proposals", type=int, default=COUNT, help=f"fuzzed ones to judge  [default: {COUNT}]")
    parser.add_argument("--peers", type=Path, help="a virtual environment with simple-gpu-scheduler and Optuna")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


if __name__ == "__main__":
    main()
