"""Why a config exists, as plain data for a program."""

from dataclasses import asdict

from auto_loop.assembly.differences import plain
from auto_loop.assembly.explained import Asked, Explained, Fired, Foreseen, Held
from auto_loop.domain.config import Json
from auto_loop.domain.effect import in_words
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job


def explain_json(found: Explained) -> dict[str, Json]:
    """All that `explain_text` tells, and what it leaves out of long lists."""
    job = found.job
    return {
        "job": job.name,
        "id": job.id,
        "study": job.study,
        "loop": job.loop,
        "round": job.round,
        "state": job.state.value,
        "outcome": None if job.outcome is None else job.outcome.value,
        "config_file": job.cfg_file,
        "parent": None if found.parent is None else found.parent.name,
        "parent_config_file": job.origin.parent_cfg,
        "proposer": job.origin.proposer,
        "rule": job.origin.rule,
        "reason": job.origin.reason,
        "edits": list(job.origin.changes),
        "notes": list(job.origin.notes),
        "warm_from": job.warm_from,
        "changes": [
            {"path": one.path, "old": one.old, "new": one.new, "was_there": one.was_there, "is_there": one.is_there}
            for one in found.changes
        ],
        "decision": None if found.asked is None else _asked(found.asked),
        "fired": None if found.fired is None else _fired(found.fired),
        "predictions": [_foreseen(one) for one in found.foreseen],
        "improved": None if found.record is None else found.record.improved,
        "others": [_other(one, found) for one in found.others],
        "held_against_base": [_held(one, found.metric) for one in found.held],
        "descent": [_link(one) for one in found.descent],
        "not_known": list(found.lacking),
    }


def _asked(asked: Asked) -> dict[str, Json]:
    return {
        "id": asked.decision.id,
        "kind": asked.decision.kind.value,
        "round": asked.decision.round,
        "at": asked.decision.at,
        "event": asked.event,
        "pack": asked.pack,
        "rulebook": asked.decision.rulebook,
        "runs": [job.name for job in asked.runs],
        "diagnoses": [{"name": name, "says": text} for name, text in asked.diagnoses],
        "unknown_rules": {rule: list(gaps) for rule, gaps in asked.unknown.items()},
    }


def _fired(fired: Fired) -> dict[str, Json]:
    after, readings = fired.at_least or (None, None)
    return {
        "rule": fired.rule,
        "reason": fired.reason,
        "priority": fired.priority,
        "shift": fired.shift,
        "group": fired.group,
        "condition": fired.condition,
        "readings": [{"text": one.text, "value": one.value, "steps": list(one.steps)} for one in fired.readings],
        "computed": [{"change": key, "expr": text, "value": value} for key, text, value in fired.computed],
        "evidence": dict(fired.evidence),
        "after": after,
        "for": readings,
    }


def _foreseen(one: Foreseen) -> dict[str, Json]:
    return {
        "metric": one.metric,
        "predicted": one.predicted,
        "measured": one.measured,
        "runs": one.runs,
        "difference": None if one.measured is None else one.measured - one.predicted,
        "unit": "nats" if one.in_nats else "",
    }


def _other(one: ProposalRecord, found: Explained) -> dict[str, Json]:
    return {
        "rule": one.proposal.rule,
        "proposer": one.proposal.proposer,
        "verdict": one.verdict.value,
        "changes": dict(one.proposal.changes),
        "edits": list(one.edits),
        "reasons": list(one.reasons),
        "child": None if one.child is None else found.names.get(one.child),
    }


def _held(one: Held, metric: str) -> dict[str, Json]:
    return {
        "kind": one.kind.value,
        "candidate": one.candidate,
        "base": one.base,
        "seeds": list(one.seen.seeds),
        "number": one.seen.number,
        "effect": plain(asdict(one.seen.effect)),
        "says": in_words(one.seen.effect, metric),
    }


def _link(job: Job) -> dict[str, Json]:
    return {
        "job": job.name,
        "id": job.id,
        "round": job.round,
        "proposer": job.origin.proposer,
        "rule": job.origin.rule,
        "edits": list(job.origin.changes),
    }
