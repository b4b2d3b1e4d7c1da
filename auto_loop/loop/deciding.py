"""One asking of the rules: from parents to verdicts, and all of it kept, so that it can be derived again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from auto_loop.domain.decision import Decision, DecisionId, DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.history import History
from auto_loop.domain.job import Job, JobId
from auto_loop.domain.proposal import Accepted, Refusal, Silence, Verdict
from auto_loop.loop.parts import Parts
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, Ruling, judge
from auto_loop.proposers.rulebook import Rulebook
from auto_loop.proposers.track_record import TrackRecord, shift
from auto_loop.rules.laws import predictions
from auto_loop.rules.recorded import facts_of_readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the rules are asked: about which jobs, with the summaries in `history`, for how many places.

    `event` says what gave rise to it; `repeats` are the jobs whose runs a parent's summary was made of.
    """

    event: str
    jobs: Sequence[Job]
    history: History
    room: int
    repeats: Mapping[JobId, tuple[JobId, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The panel's verdicts, the jobs that gave nothing, and what it was all made on."""

    ruling: Ruling
    silences: tuple[Silence, ...]
    asked: RulesAsked


def ask(parts: Parts, question: Question) -> Answer:
    """Have the rules propose and the panel judge; nothing is written."""
    shifts = priority_shifts(parts)
    book = Rulebook(pack=parts.pack, looked_for=parts.meter.looked_for, shift=shifts)
    offer = book.offer(question.jobs, question.history)
    limits = Limits(per_parent=parts.call.variants_per_run, round_size=question.room)
    verdicts = ruled(parts, offer.candidates, limits)
    seen = tuple(replace(one, repeats=question.repeats.get(one.job, one.repeats)) for one in offer.seen)
    return Answer(
        ruling=foreseen(parts, verdicts.ruling, offer.candidates, seen),
        silences=(*offer.silences, *verdicts.ruling.silences),
        asked=RulesAsked(
            event=question.event,
            parents=seen,
            room=limits.round_size,
            per_parent=limits.per_parent,
            shift=shifts,
            hits=(),
            refused_by_trainer=verdicts.refused_by_trainer,
        ),
    )


def priority_shifts(parts: Parts) -> dict[str, int]:
    """What the rules' track records add to their priorities."""
    counts = parts.ledger.reading.decisions.rule_counts(parts.study)
    found = {one.rule: shift(TrackRecord(**asdict(one))) for one in counts}
    return {rule: by for rule, by in found.items() if by}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """A ruling, and the (parent, rule) pairs that the trainer's own config class refused."""

    ruling: Ruling
    refused_by_trainer: tuple[tuple[JobId, str], ...] = ()


def ruled(parts: Parts, candidates: Sequence[Candidate], limits: Limits) -> Verdicts:
    """The panel's ruling, less what the trainer's own config class refuses; their places go to the next best."""
    seen = parts.tried.fingerprints(parts.study, parts.loop)
    refused: list[Refusal] = []
    while True:
        ruling = judge(
            candidates,
            guardrails=parts.guardrails,
            limits=limits,
            seen=seen,
            types=parts.types,
        )
        faults = parts.workshop.refused_by_trainer(tuple(one.config for one in ruling.accepted))
        if not faults:
            pairs = tuple((one.parent, one.proposal.rule) for one in refused)
            return Verdicts(ruling=replace(ruling, refused=(*ruling.refused, *refused)), refused_by_trainer=pairs)
        bad = {id(ruling.accepted[at].proposal): text for at, text in faults.items()}
        refused += [_by_trainer(one, bad[id(one.proposal)]) for one in candidates if id(one.proposal) in bad]
        candidates = [one for one in candidates if id(one.proposal) not in bad]


def _by_trainer(one: Candidate, text: str) -> Refusal:
    said = f"the trainer would refuse it: {text}"
    return Refusal(parent=one.parent.id, proposal=one.proposal, verdict=Verdict.REFUSED, reasons=(said,))


def foreseen(parts: Parts, ruling: Ruling, candidates: Iterable[Candidate], seen: Iterable[ParentSeen]) -> Ruling:
    """The ruling, with what the pack's laws expect of the accepted configs."""
    readings = {one.job: one.readings for one in seen}
    parents = {one.parent.id: one.parent for one in candidates}

    def with_figures(one: Accepted) -> Accepted:
        if one.parent not in readings:
            return one
        facts = facts_of_readings(readings[one.parent], parents[one.parent].config, parts.pack.canonical)
        return replace(one, predictions=predictions(parts.pack, facts, one.config))

    return replace(ruling, accepted=tuple(with_figures(one) for one in ruling.accepted))


def keep(parts: Parts, kind: DecisionKind, number: int, asked: RulesAsked) -> DecisionId:
    """Keep the asking. Call it inside a transaction."""
    decisions = parts.ledger.decisions
    return decisions.record(
        Decision(
            loop=parts.loop,
            round=number,
            kind=kind,
            at=parts.workshop.clock(),
            detail=asked.to_json(),
            rulebook=decisions.keep_rulebook(parts.rulebook),
        )
    )
