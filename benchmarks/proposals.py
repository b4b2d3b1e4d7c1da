"""The figure of a bad proposal: how long the verdict takes, by the guardrails and by the trainer's own class."""

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from auto_loop.domain.config import FieldTypes
from auto_loop.launch.class_server import TrainerClassServer, trainer_class
from auto_loop.launch.field_types import field_types
from auto_loop.launch.profile_text import shipped_profile
from auto_loop.proposers.panel import Limits, judge
from benchmarks.bad_proposals import SEED, VEC_TYPES, Bad, bad_proposals
from benchmarks.contestants import ROOT
from benchmarks.figure import Figure
from benchmarks.stamps import percentile

GOAL_MS = 50.0
COUNT, SEED_OF_FUZZ = 10_000, 4
_LIMITS = Limits(per_parent=1, round_size=1)


@dataclass(slots=True, kw_only=True)
class Verdicts:
    """What became of many bad proposals: by whom they were refused, which were not, and the seconds of each verdict."""

    refused: Counter[str] = field(default_factory=Counter)
    by_trainer: Counter[str] = field(default_factory=Counter)
    without_reason: list[Bad] = field(default_factory=list)
    let_through: list[Bad] = field(default_factory=list)
    panel_s: list[float] = field(default_factory=list)
    panel_cpu_s: list[float] = field(default_factory=list)
    trainer_s: list[float] = field(default_factory=list)


def verdicts(count: int, seed: int) -> Verdicts:
    """Judge `count` bad proposals one by one; the trainer's class is asked of what the guardrails let pass.

    An exception that escapes is the caller's.
    """
    profile, found = shipped_profile("act_ot"), Verdicts()
    trainer = trainer_class(profile, sys.executable, ROOT, os.environ)
    if trainer is None:
        raise AssertionError("the profile names a class")
    with tempfile.TemporaryDirectory() as cache, TrainerClassServer(trainer) as server:
        types = field_types(profile, trainer, Path(cache)).types
        server.fields()  # the import is not the verdict
        for bad in bad_proposals(count, seed):
            _judge(bad, types if bad.act else VEC_TYPES, server, found)
    return found


def _judge(bad: Bad, types: FieldTypes, server: TrainerClassServer, found: Verdicts) -> None:
    began, worked = time.perf_counter(), time.thread_time()
    ruling = judge([bad.candidate], guardrails=bad.rails, limits=_LIMITS, types=types, seed=SEED)
    found.panel_s.append(time.perf_counter() - began)
    found.panel_cpu_s.append(time.thread_time() - worked)
    if ruling.refused:
        found.refused[bad.kind] += 1
        reasons = ruling.refused[0].reasons
    elif bad.act:
        began = time.perf_counter()
        (faults,) = server.check([ruling.accepted[0].config])
        found.trainer_s.append(time.perf_counter() - began)
        found.by_trainer[bad.kind] += bool(faults)
        reasons = tuple(fault.what for fault in faults)
    else:
        reasons = ()
    if not reasons:
        found.let_through.append(bad)
    elif not all(text.strip() for text in reasons):
        found.without_reason.append(bad)


def proposal_figures(count: int) -> list[Figure]:
    """How many of `count` bad proposals were refused, and how long the longest and the usual verdict took."""
    found = verdicts(count, SEED_OF_FUZZ)
    refused = count - len(found.let_through) - len(found.without_reason)
    what = f"{count:,} fuzzed bad proposals"
    figures = [
        Figure(
            what=what, who="refused with reasons", value=refused, unit="", digits=0, goal=f"= {count:,}",
            reached=refused == count, note=f"{sum(found.by_trainer.values()):,} by the trainer's class alone",
        )
    ]  # fmt: skip
    by_whom = {
        "the panel's verdict": found.panel_s,
        "the panel's verdict, CPU": found.panel_cpu_s,
        "the trainer's class": found.trainer_s,
    }
    for who, seconds in by_whom.items():
        milliseconds = [1000 * one for one in seconds] or [0.0]
        most, mean = max(milliseconds), sum(milliseconds) / len(milliseconds)
        note = f"mean {mean:.2f} ms, 99th percentile {percentile(milliseconds, 99):.2f} ms, n = {len(seconds):,}"
        goal, reached = f"<= {GOAL_MS:g} ms", most <= GOAL_MS
        longest = f"{who}, the longest"
        figures.append(
            Figure(what=what, who=longest, value=most, unit="ms", digits=2, goal=goal, reached=reached, note=note)
        )
    return figures
