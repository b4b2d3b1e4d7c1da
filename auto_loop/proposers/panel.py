"""The panel: which candidates become the next jobs. Pure; every candidate gets a verdict with its reasons.

Edits are parsed once and applied to the parent's config, guardrails derive, clamp or refuse, what the study has tried
is refused, and of the rest a diverse best is taken: first one for each parent, different nudges before the same one
twice, then up to the limits, then whatever is next best until the round is full.

Seeds are no knob. A proposal that changes nothing but the seed is a repeat of its parent; one that changes the seed
beside other things goes on without that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes
from auto_loop.domain.edits import Edit, Op, apply, diff, render_edit
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.fingerprint import Launched, fingerprint_of, launched_fingerprint, under_seed
from auto_loop.domain.guardrails import Checked, Guardrails, check
from auto_loop.domain.job import JobId
from auto_loop.domain.paths import BrokenPathError, Path, get, render_path
from auto_loop.domain.proposal import Accepted, Proposal, Refusal, Silence, Verdict
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.rulebook import REFUSED
from auto_loop.proposers.spread import Moves, Seat, diverse, moves_of

RULES = "rules"
AS_THE_LOOP = Launched()  # a round's jobs are launched as the loop launches all of its jobs
_A_REPEAT: Moves = {(): "repeat"}  # two repeats are the same nudge, whatever their seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """At most `per_parent` of one parent, as long as others fill the round; at most `round_size` in all."""

    per_parent: int = 2
    round_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The panel's verdicts: the accepted in the order of choice, the others in the order of the candidates.

    `hits` are those of the fingerprints seen that refused a candidate: with them alone the same ruling comes again.
    """

    accepted: tuple[Accepted, ...]
    refused: tuple[Refusal, ...]
    hits: frozenset[str] = frozenset()

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
class _Terms:
    """What every candidate is held against."""

    rails: Guardrails
    types: FieldTypes
    seen: frozenset[str]
    seed: Path | None
    launched: Launched


@dataclass(frozen=True, slots=True, kw_only=True)
class _Able:
    """A candidate that passed every check; `at` is its place among the candidates."""

    at: int
    candidate: Candidate
    accepted: Accepted
    fingerprint: str

    @property
    def seat(self) -> Seat:
        """What the choice needs to know of it."""
        proposal, parent = self.candidate.proposal, self.candidate.parent
        return Seat(
            parent=parent.id,
            group=proposal.group,
            priority=proposal.priority,
            config=self.fingerprint,
            moves=_A_REPEAT if self.accepted.repeat else moves_of(parent.config, self.accepted.config),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unfit:
    """A candidate that did not pass, with every reason, and the fingerprint that was among those seen, if one was."""

    reasons: tuple[str, ...]
    hit: str = ""


def _nothing(_candidate: Candidate, _config: Config) -> Mapping[str, float]:
    return {}


def judge(
    candidates: Sequence[Candidate],
    *,
    guardrails: Guardrails,
    limits: Limits,
    seen: frozenset[str] = frozenset(),
    types: FieldTypes = NO_TYPES,
    seed: Path | None = None,
    predict: Callable[[Candidate, Config], Mapping[str, float]] = _nothing,
    launched: Launched = AS_THE_LOOP,
) -> Ruling:
    """A verdict for each candidate.

    `seen` are the fingerprints of what the study has tried: `launched_fingerprint`, and `under_seed` for repeats.
    `seed` is the place of the trainer's seed; without one a seed is a value like any other. `predict` says what the
    pack's laws expect of an accepted config. `launched` is for candidates that start otherwise than the loop's jobs do.
    """
    terms = _Terms(rails=guardrails, types=types, seen=seen, seed=seed, launched=launched)
    able: list[_Able] = []
    refused: dict[int, Refusal] = {}
    hits: set[str] = set()
    for at, candidate in enumerate(candidates):
        found = _checked(at, candidate, terms)
        if isinstance(found, _Able):
            able.append(found)
        else:
            refused[at] = _refusal(candidate, found.reasons)
            hits |= {found.hit} - {""}
    seats = diverse([one.seat for one in able], per_parent=limits.per_parent, places=limits.round_size)
    chosen = [able[place] for place in seats]
    taken = {one.fingerprint: one for one in chosen}
    for one in able:
        if taken.get(one.fingerprint) is not one:
            refused[one.at] = _left_over(one, taken.get(one.fingerprint), limits)
    return Ruling(
        accepted=tuple(
            replace(one.accepted, predictions=predict(one.candidate, one.accepted.config)) for one in chosen
        ),
        refused=tuple(refused[at] for at in sorted(refused)),
        hits=frozenset(hits),
    )


def _checked(at: int, candidate: Candidate, terms: _Terms) -> _Able | _Unfit:
    try:
        edits = _edits(candidate.proposal)
        seeding = [edit for edit in edits if edit.path == terms.seed]
        if seeding and _is_repeat(candidate, edits, terms):
            return _repeat(at, candidate, seeding, terms)
        return _variant(at, candidate, [edit for edit in edits if edit.path != terms.seed], terms)
    except MisuseError as error:
        return _Unfit(reasons=tuple(fault.render() for fault in error.faults))


def _is_repeat(candidate: Candidate, edits: Sequence[Edit], terms: _Terms) -> bool:
    """Whether nothing but the seed would change."""
    parent = candidate.parent.config
    others = [edit for edit in edits if edit.path != terms.seed]
    return apply(parent, others, terms.types) == parent


def _variant(at: int, candidate: Candidate, edits: Sequence[Edit], terms: _Terms) -> _Able | _Unfit:
    """A candidate that changes the experiment; the parent's seed stays as it is."""
    proposal, parent, rails = candidate.proposal, candidate.parent.config, terms.rails
    checked = check(parent, edits, rails, clamp=proposal.proposer == RULES, types=terms.types)
    reasons, hit = [fault.render() for fault in checked.faults], ""
    config, notes = checked.config, list(checked.notes)
    if terms.seed is not None:
        kept = _with_seed_of(parent, config, terms.seed)
        if kept != config or len(edits) < len(proposal.changes):
            notes.append(f"the seed is no knob: `{render_path(terms.seed)}` stays as it was")
        config = kept
    fingerprint = launched_fingerprint(config, rails.ignore, terms.launched)
    if config == parent:
        reasons.append("it changes nothing of its parent's config")
    elif fingerprint_of(config, rails.ignore) == fingerprint_of(parent, rails.ignore):
        reasons.append("it changes nothing of its parent's config that makes another experiment")
    elif fingerprint in terms.seen:
        reasons.append("the study has tried this very config already")
        hit = fingerprint
    if reasons:
        return _Unfit(reasons=tuple(reasons), hit=hit)
    made_by = _making(parent, config, (*edits, *checked.added), terms.types)
    return _able(at, candidate, made_by, replace(checked, config=config, notes=tuple(notes)), fingerprint)


def _repeat(at: int, candidate: Candidate, seeding: Sequence[Edit], terms: _Terms) -> _Able | _Unfit:
    """A candidate that runs its parent's config under another seed: tried already only if it ran under that one."""
    parent, seed = candidate.parent.config, terms.seed
    if seed is None:
        raise AssertionError("without a place for it there is no edit of the seed")
    checked = check(parent, seeding, Guardrails(), clamp=False, types=terms.types)
    reasons, hit = [fault.render() for fault in checked.faults], ""
    new = get(checked.config.data(), seed)
    fingerprint = under_seed(launched_fingerprint(parent, terms.rails.ignore, terms.launched), checked.config, seed)
    if isinstance(new, bool) or not isinstance(new, int) or new < 0:
        reasons.append(f"`{render_path(seed)}` would be {new!r}, and a seed is a whole number from 0")
    elif checked.config == parent:
        reasons.append("it changes nothing of its parent's config")
    elif fingerprint in terms.seen:
        reasons.append(f"the study has run this very config under seed {new} already")
        hit = fingerprint
    if reasons:
        return _Unfit(reasons=tuple(reasons), hit=hit)
    checked = replace(checked, notes=("a repeat of its parent: nothing but the seed differs",))
    made_by = _making(parent, checked.config, seeding, terms.types)
    return _able(at, candidate, made_by, checked, fingerprint, repeat=True)


def _able(
    at: int, candidate: Candidate, made_by: Sequence[Edit], made: Checked, fingerprint: str, *, repeat: bool = False
) -> _Able:
    accepted = Accepted(
        parent=candidate.parent.id,
        proposal=candidate.proposal,
        edits=tuple(render_edit(edit) for edit in made_by),
        config=made.config,
        notes=made.notes,
        repeat=repeat,
    )
    return _Able(at=at, candidate=candidate, accepted=accepted, fingerprint=fingerprint)


def _with_seed_of(parent: Config, child: Config, seed: Path) -> Config:
    """The child with its parent's seed, however it came by another: whole mappings may hold one."""
    try:
        old = get(parent.data(), seed)
        if get(child.data(), seed) == old:
            return child
    except BrokenPathError:
        return child
    return apply(child, [Edit(path=seed, op=Op.SET, value=old)])


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
