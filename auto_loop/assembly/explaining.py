"""Why a config exists: its line of descent, the decision that made it, and what came of what was expected of it.

All of it is read from the ledger; the rules are those of the kept rulebook, not of the pack's file of today.
"""

from collections.abc import Iterator, Mapping
from statistics import median

from auto_loop.assembly.conditions_seen import readings_in
from auto_loop.assembly.deriving import rules_or_why_not
from auto_loop.assembly.explained import Asked, Change, Explained, Fired, Foreseen, Held
from auto_loop.assembly.rulebooks import Rules
from auto_loop.domain.cell import is_repeat
from auto_loop.domain.config import Config
from auto_loop.domain.decision import (
    Decision,
    DecisionKind,
    ParentSeen,
    RulesAsked,
    effect_seen,
    rules_asked,
)
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.history import History, ProposalRecord
from auto_loop.domain.job import Job, JobId, Outcome
from auto_loop.domain.paths import leaves, render_path
from auto_loop.domain.proposal import Verdict
from auto_loop.ledger.reading import Reading
from auto_loop.rules.condition import Expression
from auto_loop.rules.model import Changes, Computed
from auto_loop.rules.recorded import facts_of_readings


def explain(reading: Reading, job: Job) -> Explained:
    """Why the job's config exists, from the ledger of its study."""
    history = reading.history(job.study)
    jobs = {one.id: one for one in history.jobs}
    record = next((one for one in history.proposals if one.child == job.id), None)
    decision = _decision(history, record)
    rules, lacking = _rules(reading, decision)
    asked = _asked_of(decision)
    seen = _parent_seen(asked, record)
    descent = _descent(job, jobs)
    if record is not None and decision is None:
        lacking = ("its decision was not kept: the ledger is from before decisions were",)
    return Explained(
        job=job,
        descent=descent,
        metric=rules.pack.goal if rules is not None else "",
        asked=None if decision is None or asked is None else _asking(decision, asked, seen, rules, jobs),
        fired=None if record is None else _fired(record, asked, seen, rules, jobs),
        record=record,
        changes=_changes(descent[-2].config if len(descent) > 1 else None, job.config),
        foreseen=() if record is None else tuple(_foreseen(record, job, history, rules)),
        others=() if record is None else _others(history, record),
        held=tuple(_held(history, job, jobs)),
        names={one.id: one.name for one in history.jobs},
        lacking=lacking,
    )


def _decision(history: History, record: ProposalRecord | None) -> Decision | None:
    if record is None or record.decision is None:
        return None
    return next((one for one in history.decisions if one.id == record.decision), None)


def _rules(reading: Reading, decision: Decision | None) -> tuple[Rules | None, tuple[str, ...]]:
    """The rules of then, or why they cannot be read."""
    if decision is None:
        return None, ()
    try:
        rules = rules_or_why_not(reading.decisions.rulebook(decision.rulebook))
    except AutoLoopError as error:
        rules = str(error).splitlines()[0]
    return (None, (rules,)) if isinstance(rules, str) else (rules, ())


def _asked_of(decision: Decision | None) -> RulesAsked | None:
    try:
        return None if decision is None else rules_asked(decision.detail)
    except (TypeError, ValueError):
        return None


def _parent_seen(asked: RulesAsked | None, record: ProposalRecord | None) -> ParentSeen | None:
    if asked is None or record is None:
        return None
    return next((one for one in asked.parents if one.job == record.parent), None)


def _descent(job: Job, jobs: Mapping[JobId, Job]) -> tuple[Job, ...]:
    """The ancestors, oldest first, and the job itself."""
    line = [job]
    while (parent := line[-1].origin.parent) is not None and parent in jobs and len(line) <= len(jobs):
        line.append(jobs[parent])
    return tuple(reversed(line))


def _asking(
    decision: Decision, asked: RulesAsked, seen: ParentSeen | None, rules: Rules | None, jobs: Mapping[JobId, Job]
) -> Asked:
    return Asked(
        decision=decision,
        event=asked.event,
        pack=rules.pack.name if rules is not None else "",
        runs=() if seen is None else tuple(jobs[one] for one in seen.repeats if one in jobs),
        diagnoses=() if seen is None else seen.diagnoses,
        unknown={} if seen is None else seen.unknown,
    )


def _fired(
    record: ProposalRecord,
    asked: RulesAsked | None,
    seen: ParentSeen | None,
    rules: Rules | None,
    jobs: Mapping[JobId, Job],
) -> Fired:
    """The rule with its readings; of one whose pack or readings are not there, what its proposal says."""
    proposal = record.proposal
    shift = 0 if asked is None else asked.shift.get(proposal.rule, 0)
    plain = Fired(
        rule=proposal.rule,
        reason=proposal.reason,
        priority=proposal.priority - shift,
        shift=shift,
        group=proposal.group,
        evidence=proposal.evidence,
    )
    found = None if rules is None else _rule(rules, proposal.rule)
    if found is None or seen is None or rules is None:
        return plain
    when, changes, at_least = found
    run = jobs.get(seen.repeats[0] if at_least and seen.repeats else seen.job)
    facts = facts_of_readings(seen.readings, run.config if run else None, rules.pack.canonical)
    return Fired(
        rule=plain.rule,
        reason=plain.reason,
        priority=plain.priority,
        shift=shift,
        group=plain.group,
        condition=_line(when.text),
        readings=readings_in([when, *_computed(changes).values()], facts),
        computed=tuple((key, _line(one.text), proposal.changes.get(key)) for key, one in _computed(changes).items()),
        evidence=proposal.evidence,
        at_least=at_least,
    )


def _line(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def _rule(rules: Rules, name: str) -> tuple[Expression, Changes, tuple[int, int] | None] | None:
    for rule in rules.pack.rules:
        if rule.name == name:
            return rule.when, rule.changes, None
    for stop in rules.pack.stops:
        if stop.name == name:
            return stop.when, stop.changes, (stop.after, stop.readings)
    return None


def _computed(changes: Changes) -> dict[str, Expression]:
    return {key: value.expression for key, value in changes.items() if isinstance(value, Computed)}


def _changes(parent: Config | None, child: Config) -> tuple[Change, ...]:
    """Every value that differs, in the child's order; what is gone comes last."""
    if parent is None:
        return ()
    before, after = (dict(leaves(one.data())) for one in (parent, child))
    changed = [
        Change(path=render_path(path), old=before.get(path), new=new, was_there=path in before)
        for path, new in after.items()
        if path not in before or before[path] != new
    ]
    gone = [
        Change(path=render_path(path), old=old, new=None, is_there=False)
        for path, old in before.items()
        if path not in after
    ]
    return (*changed, *gone)


def _foreseen(record: ProposalRecord, job: Job, history: History, rules: Rules | None) -> Iterator[Foreseen]:
    runs = [one for one in history.jobs if one.id == job.id or (is_repeat(one) and one.origin.parent == job.id)]
    ended = [one.id for one in runs if one.outcome is Outcome.SUCCEEDED and one.id in history.summaries]
    for metric, predicted in record.predictions.items():
        values = [_last(history, one, metric, rules) for one in ended]
        known = [value for value in values if value is not None]
        measured = median(known) if known else None
        yield Foreseen(metric=metric, predicted=predicted, measured=measured, runs=len(known))


def _last(history: History, job: JobId, metric: str, rules: Rules | None) -> float | None:
    metrics = history.summaries[job].metrics
    stats = metrics.get(metric)
    if stats is None and rules is not None:
        canonical = rules.pack.canonical
        stats = next((one for name, one in metrics.items() if canonical(name) == canonical(metric)), None)
    return None if stats is None else stats.last


def _others(history: History, record: ProposalRecord) -> tuple[ProposalRecord, ...]:
    """What else was proposed of the same parent then; the refused before what only had no place."""
    rank = (Verdict.ACCEPTED, Verdict.WAITING, Verdict.REFUSED, Verdict.NO_PLACE)
    found = [
        one
        for one in history.proposals
        if one is not record
        and (one.parent, one.loop, one.round, one.decision)
        == (record.parent, record.loop, record.round, record.decision)
    ]
    return tuple(sorted(found, key=lambda one: (rank.index(one.verdict), one.reasons if one.child is None else ())))


def _held(history: History, job: Job, jobs: Mapping[JobId, Job]) -> Iterator[Held]:
    """The screenings and confirmations that the job's config had a part in."""
    lead = job.origin.parent if is_repeat(job) else job.id
    for decision in history.decisions:
        if decision.kind not in (DecisionKind.SCREENING, DecisionKind.CONFIRMATION):
            continue
        try:
            seen = effect_seen(decision.detail)
        except (TypeError, ValueError):
            continue
        mine = decision.loop == job.loop and (not is_repeat(job) or decision.round == job.round)
        if mine and lead in (seen.candidate, seen.base):
            names = [jobs[one].name if one in jobs else f"job {one}" for one in (seen.candidate, seen.base)]
            yield Held(kind=decision.kind, seen=seen, candidate=names[0], base=names[1])
