"""What rules read of a run, held against the run's own summary: the ledger has both, so a changed figure shows."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from auto_loop.assembly.deriving import Kept, parent_of
from auto_loop.assembly.differences import NOT_THERE, Difference
from auto_loop.domain.config import Json
from auto_loop.domain.decision import Decision, ParentSeen
from auto_loop.domain.job import JobId
from auto_loop.domain.summary import Summary
from auto_loop.rules.facts import NOT_KNOWN, Facts, facts_of
from auto_loop.rules.functions import METRIC
from auto_loop.rules.nodes import Unknown
from auto_loop.rules.recorded import metrics_read

# Of these a summary has all that a reading rests on; slopes and values at a step need the series.
_BY_SUMMARY = ("first", "last", "best", "best_step", "delta", "pct", "n", "nan_count", "value", "exists")
_KEY = re.compile(r'(?:steps of )?(?P<name>\w+)\((?P<metric>"(?:[^"\\]|\\.)*")(?P<second>, [^()]+)?\)')


def readings_differ(kept: Kept, summaries: Mapping[JobId, Summary], decision: Decision) -> Iterator[Difference]:
    """The readings of each parent that its kept summary does not bear out.

    A parent that was seen through several runs is left out: their median is taken step by step, of series long gone.
    """
    asked = metrics_read(kept.rules.pack)
    for seen in kept.asked.parents:
        for key in seen.readings:
            if not _is_asked(key, asked):
                what = "reading that no rule asks for"
                yield Difference(what=what, kept=key, derived=NOT_THERE, parent=seen.job, decision=decision.id)
        summary = summaries.get(seen.job)
        if summary is None or len(seen.repeats) > 1:
            continue
        parent_of(kept, seen.job)
        facts = facts_of(summary, kept.rules.pack.canonical)
        for key, ours, theirs in _differing(seen, facts):
            yield Difference(what=f"reading {key}", kept=ours, derived=theirs, parent=seen.job, decision=decision.id)


def _differing(seen: ParentSeen, facts: Facts) -> Iterator[tuple[str, Json, Json]]:
    for key, ours in seen.readings.items():
        found = _KEY.fullmatch(key)
        if found is None or found["second"] or key.startswith("steps") or found["name"] not in _BY_SUMMARY:
            continue
        value = facts.reading(found["name"], json.loads(found["metric"]))
        theirs: Json = NOT_KNOWN if isinstance(value, Unknown) else value
        if ours != theirs:
            yield key, ours, theirs


def _is_asked(key: str, metrics: frozenset[str]) -> bool:
    """Whether a reading's key is one that the pack's expressions can have; a `*` in a metric's name is any text."""
    found = _KEY.fullmatch(key)
    if found is None:
        return False
    if found["name"] in ("exists", "log_matches"):
        return True
    metric = json.loads(found["metric"])
    return found["name"] in METRIC and (
        metric in metrics or any("*" in name and fnmatchcase(metric, name) for name in metrics)
    )
