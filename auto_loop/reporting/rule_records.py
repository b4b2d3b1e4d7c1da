"""What became of each rule's proposals in a study, and which rules could never be judged. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auto_loop.domain.decision import DecisionKind, ParentSeen, RulesAsked, rules_asked
from auto_loop.domain.event import Event
from auto_loop.domain.history import History, ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.track_record import TrackRecord

# The kind of the events that name the live rules which a run could not be judged by.
WITHOUT_METRICS = "live rules without metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A rule whose condition was unknown of every run that it was asked about, and what these runs lacked.

    `live`: it is one of those that watch running jobs.
    """

    rule: str
    lacked: tuple[str, ...]
    runs: int
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """The rules of a study: records of those that proposed something, and those that could never be judged."""

    records: tuple[TrackRecord, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()


@dataclass(slots=True)
class _Count:
    fired: int = 0
    accepted: int = 0
    measured: int = 0
    improved: int = 0


def rule_report(history: History, events: Iterable[Event] = ()) -> RuleReport:
    """What a study's decisions say of its rules, and its events of live rules."""
    records = track_records(history.proposals)
    unjudged = _unjudged(history, {one.rule for one in records})
    return RuleReport(records=records, unjudged=(*unjudged, *_live_unjudged(history, events)))


def track_records(proposals: Iterable[ProposalRecord]) -> tuple[TrackRecord, ...]:
    """A record of each rule that fired, those that were taken most often first."""
    counts: dict[str, _Count] = {}
    for record in proposals:
        if not record.proposal.rule:
            continue
        count = counts.setdefault(record.proposal.rule, _Count())
        count.fired += 1
        count.accepted += record.child is not None
        count.measured += record.improved is not None
        count.improved += bool(record.improved)
    found = [
        TrackRecord(rule=rule, fired=one.fired, accepted=one.accepted, measured=one.measured, improved=one.improved)
        for rule, one in counts.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.accepted, -one.fired, one.rule)))


def parents_seen(history: History) -> dict[tuple[int, int], tuple[ParentSeen, ...]]:
    """The parents that the rules were asked about after a round, by loop and round, in the order of their rank."""
    found: dict[tuple[int, int], tuple[ParentSeen, ...]] = {}
    for (loop, number), asked in _asked(history):
        found[loop, number] = (*found.get((loop, number), ()), *asked.parents)
    return found


def _asked(history: History) -> list[tuple[tuple[int, int], RulesAsked]]:
    """Every asking of the rules that can be read."""
    found = []
    for one in history.decisions:
        if one.kind in (DecisionKind.ROUND, DecisionKind.JOB):
            try:
                found.append(((one.loop, one.round), rules_asked(one.detail)))
            except (TypeError, ValueError):  # written by another version: a report is drawn without it
                continue
    return found


def _unjudged(history: History, fired: set[str]) -> tuple[Unjudged, ...]:
    """Rules that never had what they ask for in the newest loop that asked any, nor fired in the study before."""
    asked = _asked(history)
    newest = max((loop for (loop, _), _ in asked), default=0)
    parents = [parent for (loop, _), one in asked if loop == newest for parent in one.parents]
    counts = Counter(rule for parent in parents for rule in parent.unknown)
    return tuple(
        Unjudged(rule=rule, lacked=_lacked(rule, parents), runs=len(parents))
        for rule, count in counts.items()
        if count == len(parents) and rule not in fired
    )


def _live_unjudged(history: History, events: Iterable[Event]) -> tuple[Unjudged, ...]:
    """Live rules whose metrics no run of the newest loop that has any logged."""
    lacking: dict[str, dict[JobId, list[str]]] = {}
    for each in events:
        rules = each.detail.get("rules")
        if each.kind == WITHOUT_METRICS and each.job is not None and isinstance(rules, dict):
            for rule, gaps in rules.items():
                lacking.setdefault(rule, {})[each.job] = list(map(str, gaps)) if isinstance(gaps, list) else []
    logged = [job for job in history.jobs if job.id in history.summaries and history.summaries[job.id].metrics]
    newest = max((job.loop for job in logged), default=0)
    runs = {job.id for job in logged if job.loop == newest}
    return tuple(
        Unjudged(rule=rule, lacked=_each_once(jobs.values()), runs=len(runs), live=True)
        for rule, jobs in lacking.items()
        if runs <= jobs.keys()
    )


def _each_once(lists: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for each in lists for item in each))


def _lacked(rule: str, parents: Sequence[ParentSeen]) -> tuple[str, ...]:
    return _each_once(parent.unknown[rule] for parent in parents)
