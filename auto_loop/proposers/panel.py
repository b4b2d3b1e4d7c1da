"""The panel: which candidates become the next jobs. Pure; every candidate gets a verdict with its reasons.

Edits are parsed once and applied to the parent's config, guardrails derive, clamp or refuse, configs that the loop
has already are refused, and of the rest a diverse best is taken: first one for each parent and purpose, then up to
the limits, then whatever is next best until the round is full.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes
from auto_loop.domain.edits import Edit, Op, apply, diff, render_edit
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.fingerprint import fingerprint_of
from auto_loop.domain.guardrails import Guardrails, check
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Accepted, Proposal, Refusal, Silence, Verdict
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.rulebook import REFUSED

RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """At most `per_parent` of one parent, as long as others fill the round; at most `round_size` in all."""

    per_parent: int = 2
    round_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The panel's verdicts: the accepted in the order of choice, the others in the order of the candidates."""

    accepted: tuple[Accepted, ...]
    refused: tuple[Refusal, ...]

    @property
    def silences(self) -> tuple[Silence, ...]:
        """The parents of which every candidate was refused, with the reasons: one cause for each."""
        heard = {one.parent for one in self.accepted}
        heard |= {one.parent for one in self.refused if one.verdict is Verdict.NO_PLACE}
        reasons: dict[JobId, dict[str, None]] = {}
        for one in self.refused:
            if one.parent not in heard:
                reasons.setdefault(one.parent, {}).update(dict.fromkeys(_with_rule(one)))
        return tuple(Silence(parent=job, cause=REFUSED, detail="; ".join(said)) for job, said in reasons.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Able:
    """A candidate that passed every check; `at` is its place among the candidates."""

    at: int
    candidate: Candidate
    accepted: Accepted
    fingerprint: str


def judge(
    candidates: Sequence[Candidate],
    *,
    guardrails: Guardrails,
    limits: Limits,
    seen: frozenset[str] = frozenset(),
    types: FieldTypes = NO_TYPES,
) -> Ruling:
    """A verdict for each candidate. `seen` are the fingerprints (`fingerprint_of`) of what the study has tried."""
    able: list[_Able] = []
    refused: dict[int, Refusal] = {}
    for at, candidate in enumerate(candidates):
        found = _checked(at, candidate, guardrails, types, seen)
        if isinstance(found, _Able):
            able.append(found)
        else:
            refused[at] = found
    chosen = _choose(able, limits)
    taken = {one.fingerprint: one for one in chosen}
    for one in able:
        if one not in chosen:
            refused[one.at] = _left_over(one, taken.get(one.fingerprint), limits)
    return Ruling(accepted=tuple(one.accepted for one in chosen), refused=tuple(refused[at] for at in sorted(refused)))


def _checked(
    at: int, candidate: Candidate, rails: Guardrails, types: FieldTypes, seen: frozenset[str]
) -> _Able | Refusal:
    proposal, parent = candidate.proposal, candidate.parent
    try:
        edits = _edits(proposal)
        checked = check(parent.config, edits, rails, clamp=proposal.proposer == RULES, types=types)
    except MisuseError as error:
        return _refusal(candidate, tuple(fault.render() for fault in error.faults))
    reasons = [fault.render() for fault in checked.faults]
    fingerprint = fingerprint_of(checked.config, rails.ignore)
    if fingerprint == fingerprint_of(parent.config, rails.ignore):
        reasons.append("it changes nothing of its parent's config")
    elif fingerprint in seen:
        reasons.append("the study has tried this very config already")
    if reasons:
        return _refusal(candidate, tuple(reasons))
    made_by = _making(parent.config, checked.config, (*edits, *checked.added), types)
    accepted = Accepted(
        parent=parent.id,
        proposal=proposal,
        edits=tuple(render_edit(edit) for edit in made_by),
        config=checked.config,
        notes=checked.notes,
    )
    return _Able(at=at, candidate=candidate, accepted=accepted, fingerprint=fingerprint)


def _edits(proposal: Proposal) -> tuple[Edit, ...]:
    """The proposal's edits. MisuseError with the faults of all of them."""
    edits: list[Edit] = []
    faults: list[Fault] = []
    for key, value in proposal.changes.items():
        try:
            edits.append(Edit.from_change(key, value))
        except MisuseError as error:
            faults.extend(error.faults)
    if faults:
        raise MisuseError(faults)
    return tuple(edits)


def _making(parent: Config, child: Config, edits: Sequence[Edit], types: FieldTypes) -> tuple[Edit, ...]:
    """The edits that make `child`, without those that change nothing, so that a report shows what really differs."""
    kept: list[Edit] = []
    config = parent
    for edit in edits:
        after = apply(config, [edit], types)
        if after != config:
            kept = [one for one in kept if edit.op is not Op.SET or one.path != edit.path or one.op is not Op.SET]
            kept.append(edit)
        config = after
    try:
        whole = apply(parent, kept, types).data() == child.data()
    except MisuseError:
        whole = False
    return tuple(kept) if whole else diff(parent, child)


def _choose(able: Sequence[_Able], limits: Limits) -> list[_Able]:
    """The diverse best: the least-heard parent and purpose first, then priority, then the candidates' own order.

    Within the limit of each parent as long as that fills the round; without it for the places that are left.
    """
    chosen: list[_Able] = []
    parents: Counter[JobId] = Counter()
    groups: Counter[str] = Counter()
    for cap in (limits.per_parent, limits.round_size):
        while len(chosen) < limits.round_size:
            taken = {one.fingerprint for one in chosen}
            free = [one for one in able if one.fingerprint not in taken and parents[one.accepted.parent] < cap]
            if not free:
                break
            best = min(free, key=lambda one: _order(one, parents, groups))
            chosen.append(best)
            parents[best.accepted.parent] += 1
            groups[best.accepted.proposal.group] += 1
    return chosen


def _order(one: _Able, parents: Counter[JobId], groups: Counter[str]) -> tuple[int, int, int, int]:
    proposal = one.accepted.proposal
    return parents[one.accepted.parent], groups[proposal.group], -proposal.priority, one.at


def _left_over(one: _Able, twin: _Able | None, limits: Limits) -> Refusal:
    """The refusal of a sound candidate: its config was chosen under another name, or the round was full."""
    if twin is not None:
        proposal = twin.accepted.proposal
        said = f"job {twin.accepted.parent} gives the same config this round ({proposal.rule or proposal.reason})"
        return _refusal(one.candidate, (said,))
    said = f"the round's {limits.round_size} places went to others"
    return _refusal(one.candidate, (said,), Verdict.NO_PLACE)


def _refusal(candidate: Candidate, reasons: tuple[str, ...], verdict: Verdict = Verdict.REFUSED) -> Refusal:
    return Refusal(parent=candidate.parent.id, proposal=candidate.proposal, verdict=verdict, reasons=reasons)


def _with_rule(refusal: Refusal) -> tuple[str, ...]:
    name = refusal.proposal.rule or refusal.proposal.proposer
    return tuple(f"{name}: {reason.splitlines()[0]}" for reason in refusal.reasons)
