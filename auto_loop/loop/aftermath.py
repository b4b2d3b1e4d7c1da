"""What follows an ended attempt: the same job again, a remedied one in its place, or nothing more. Pure.

A remedy of the pack goes first: what failed by its own config would fail again. Then comes a retry, for what failed by
no fault of its own. Both are bounded, so that one bad job never holds up a study.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, Json
from auto_loop.domain.edits import Edit
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.failure import Failure
from auto_loop.domain.guardrails import Guardrails, check
from auto_loop.domain.job import CONFIRMATION, Attempt, Job, Outcome, StopCause
from auto_loop.domain.paths import BrokenPathError, expand, get, render_path
from auto_loop.domain.proposal import Proposal
from auto_loop.loop.endings import Logged
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import RULES, Limits, judge
from auto_loop.rules.model import Remedy

FIRST_BACK_OFF_S = 10.0
LONGEST_BACK_OFF_S = 300.0
DISK_BACK_OFF_S = 60.0  # room on a disk is made by people and their clean-ups, not within seconds

_REALLY_ENDED = frozenset({Outcome.FAILED, Outcome.LOST})  # CANCELLED: it was never started
_FOR_GOOD = frozenset({StopCause.PERSON, StopCause.JOB_TIMEOUT, StopCause.MAX_HOURS, StopCause.RULE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a failed job may get: `retries` of the same job, and the pack's `remedies` within its guardrails.

    `tried_in_lineage`: how many of the job's ancestors were remedied for this very failure. `seen`: the fingerprints of
    what the study has tried, as the panel takes them. `logged`: what the ended attempt's history tells.
    """

    retries: int = 2
    remedies: Sequence[Remedy] = ()
    guardrails: Guardrails = field(default_factory=Guardrails)
    types: FieldTypes = NO_TYPES
    tried_in_lineage: int = 0
    seen: frozenset[str] = frozenset()
    logged: Logged = field(default_factory=Logged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The same job again, not before `not_before` (unix s)."""

    not_before: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """A remedied child in the same place of the round. `edits` in normal form make `config` of the job's own."""

    edits: tuple[str, ...]
    config: Config
    reason: str
    rule: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Nothing more. `text` says why no retry and no remedy came; empty when there was nothing to mend."""

    text: str = ""


Aftermath: TypeAlias = Retry | Replace | Settle


def aftermath(job: Job, ended: Attempt, terms: Terms, now: float) -> Aftermath:
    """What follows `ended`, the job's newest attempt, whose outcome is known."""
    if ended.outcome not in _REALLY_ENDED:
        return Settle()
    failure = ended.failure or (Failure.LOST if ended.outcome is Outcome.LOST else Failure.CRASH)
    if ended.stop is not None and ended.stop.cause in _FOR_GOOD:
        return Settle(text=f"not tried again: {ended.stop.text}")
    if failure.is_its_own and job.resumed(ended):  # its checkpoint may be torn: the next attempt begins anew
        return _again(job, ended, failure, terms.retries, now)
    if failure is Failure.CONFIG_REFUSED:
        return Settle(text="a config that the trainer refused is never tried again")
    if failure in (Failure.LOST, Failure.HANG) and terms.logged.is_whole:
        how = "nobody saw how it ended" if failure is Failure.LOST else "it only did not end by itself"
        return Settle(text=f"not tried again: its history is whole, {how}")
    remedied = _remedied(job, failure, terms)
    if isinstance(remedied, Replace):
        return remedied
    if not failure.may_pass:
        return Settle(text=remedied or _no_means(failure))
    return _again(job, ended, failure, terms.retries, now)


def _no_means(failure: Failure) -> str:
    match failure:
        case Failure.CRASH | Failure.CRASH_AT_START:
            return "a crash of the trainer's own would only come again"
        case Failure.OUT_OF_MEMORY | Failure.NOT_FINITE:
            return f"the pack has no remedy for {failure.value!r}"
        case (
            Failure.HANG
            | Failure.PREEMPTED
            | Failure.DISK_FULL
            | Failure.GPU_LOST
            | Failure.TRANSIENT
            | Failure.LOST
            | Failure.CONFIG_REFUSED
        ):
            return ""  # these are retried or refused in words of their own
        case _:
            assert_never(failure)


def _again(job: Job, ended: Attempt, failure: Failure, retries: int, now: float) -> Retry | Settle:
    """A retry with back-off, unless there were enough."""
    attempts = {**{one.id: one for one in job.attempts}, ended.id: ended}
    failed = sum(one.outcome in _REALLY_ENDED for one in attempts.values())
    if failed > retries:
        return Settle(text=f"tried {'once' if failed == 1 else f'{failed} times'} (--retries {retries})")
    wait_s = back_off_s(failed, failure)
    return Retry(
        not_before=now + wait_s,
        text=f"{failure.value}: again in {wait_s:.0f} s, try {failed + 1} of {retries + 1}",
    )


def back_off_s(failed: int, failure: Failure) -> float:
    """How long to wait after `failed` attempts: 10 s, 20 s, 40 s ... up to 5 min; a full disk takes 60 s at least."""
    wait_s = min(FIRST_BACK_OFF_S * 2.0 ** min(failed - 1, 10), LONGEST_BACK_OFF_S)
    return max(wait_s, DISK_BACK_OFF_S) if failure is Failure.DISK_FULL else wait_s


def _remedied(job: Job, failure: Failure, terms: Terms) -> Replace | str:
    """The first of the class's remedies that the guardrails accept; else, in words, why there is none ("": none)."""
    if job.origin.proposer == CONFIRMATION and any(one.failure is failure for one in terms.remedies):
        return "a remedy would make another config of it, and it is to confirm this one"
    said: list[str] = []
    for remedy in terms.remedies:
        if remedy.failure is not failure:
            continue
        if terms.tried_in_lineage >= remedy.times:
            said.append(f"remedied {terms.tried_in_lineage} times already, which is this remedy's bound")
            continue
        found = _applied(job, remedy, terms)
        if isinstance(found, Replace):
            return found
        said.append(found)
    return "; ".join(dict.fromkeys(said))


def _applied(job: Job, remedy: Remedy, terms: Terms) -> Replace | str:
    """The remedy as the panel judges it: what holds for the rules' proposals holds for remedies."""
    standing = _standing(job.config, remedy.changes, terms)
    if standing:
        return standing
    also = {key: value for key, value in remedy.also.items() if _has(job.config, key)}
    proposal = Proposal(
        changes={**remedy.changes, **also},
        reason=remedy.reason or f"a remedy for {remedy.failure.value!r}",
        rule=f"remedy: {remedy.failure.value}",
        proposer=RULES,
    )
    ruling = judge(
        [Candidate(parent=job, proposal=proposal)],
        guardrails=terms.guardrails,
        limits=Limits(per_parent=1, round_size=1),
        seen=terms.seen,
        types=terms.types,
    )
    if not ruling.accepted:
        return f"{proposal.rule}: {'; '.join(ruling.refused[0].reasons)}"
    (made,) = ruling.accepted
    return Replace(edits=made.edits, config=made.config, reason=proposal.reason, rule=proposal.rule, notes=made.notes)


def _standing(config: Config, changes: Mapping[str, Json], terms: Terms) -> str:
    """ "batch_size is 1 already" when the changes change nothing: then what goes with them is no remedy either."""
    try:
        edits = [Edit.from_change(key, value) for key, value in changes.items()]
        checked = check(config, edits, terms.guardrails, clamp=True, types=terms.types)
    except MisuseError:
        return ""  # the panel says it in full
    tree = config.data()
    if checked.config.data() != tree:
        return ""
    places = dict.fromkeys(place for edit in edits for place in expand(tree, edit.path, may_make_last=True))
    return ", ".join(f"{render_path(place)} is {json.dumps(get(tree, place))} already" for place in places)


def _has(config: Config, key: str) -> bool:
    """Whether the config has a place that this edit names."""
    try:
        return bool(expand(config.data(), Edit.from_change(key, None).path))
    except (BrokenPathError, MisuseError):
        return False
