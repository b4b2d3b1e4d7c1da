"""What rules read of a run, held against the run's own summary: the ledger has both, so a changed figure shows."""

import json
import re
from collections.abc import Iterator, Mapping

from auto_loop.assembly.deriving import Kept, parent_of
from auto_loop.assembly.differences import Difference
from auto_loop.domain.config import Json
from auto_loop.domain.decision import Decision, ParentSeen
from auto_loop.domain.job import JobId
from auto_loop.domain.summary import Summary
from auto_loop.rules.facts import NOT_KNOWN, Facts, facts_of
from auto_loop.rules.nodes import Unknown

# Of these a summary has all that a reading rests on; slopes and values at a step need the series.
_BY_SUMMARY = ("first", "last", "best", "best_step", "delta", "pct", "n", "nan_count", "value", "exists")
_KEY = re.compile(r'(?P<name>\w+)\((?P<metric>"(?:[^"\\]|\\.)*")\)')


def readings_differ(kept: Kept, summaries: Mapping[JobId, Summary], decision: Decision) -> Iterator[Difference]:
    """The readings of each parent that its kept summary does not bear out.

    A parent that was seen through several runs is left out: their median is taken step by step, of series long gone.
    """
    for seen in kept.asked.parents:
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
        if found is None or found["name"] not in _BY_SUMMARY:
            continue
        value = facts.reading(found["name"], json.loads(found["metric"]))
        theirs: Json = NOT_KNOWN if isinstance(value, Unknown) else value
        if ours != theirs:
            yield key, ours, theirs
