"""One asking of the rules: from parents to verdicts, and all of it kept, so that it can be derived again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from auto_loop.domain.config import Config
from auto_loop.domain.decision import Decision, DecisionId, DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.history import History
from auto_loop.domain.job import Job, JobId
from auto_loop.domain.paths import Path
from auto_loop.domain.proposal import Refusal, Silence, Verdict
from auto_loop.domain.track_record import shift
from auto_loop.loop.parts import Parts
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, Ruling, judge
from auto_loop.proposers.rulebook import Rulebook
from auto_loop.rules.laws import predictions
from auto_loop.rules.model import Pack
from auto_loop.rules.recorded import facts_of_readings

Predict: TypeAlias = Callable[[Candidate, Config], Mapping[str, float]]


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
    verdicts = ruled(parts, offer.candidates, limits, laws(parts.pack, offer.seen, parts.guardrails.ignore))
    seen = tuple(replace(one, repeats=question.repeats.get(one.job, one.repeats)) for one in offer.seen)
    return Answer(
        ruling=verdicts.ruling,
        silences=(*offer.silences, *verdicts.ruling.silences),
        asked=RulesAsked(
            event=question.event,
            parents=seen,
            room=limits.round_size,
            per_parent=limits.per_parent,
            shift=shifts,
            hits=tuple(sorted(verdicts.ruling.hits)),
            refused_by_trainer=verdicts.refused_by_trainer,
        ),
    )


def priority_shifts(parts: Parts) -> dict[str, int]:
    """What the rules' track records add to their priorities."""
    found = {one.rule: shift(one) for one in parts.ledger.reading.decisions.track_records(parts.study)}
    return {rule: by for rule, by in found.items() if by}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """A ruling, and the (parent, rule) pairs that the trainer's own config class refused."""

    ruling: Ruling
    refused_by_trainer: tuple[tuple[JobId, str], ...] = ()


def ruled(parts: Parts, candidates: Sequence[Candidate], limits: Limits, predict: Predict) -> Verdicts:
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
            seed=parts.seed,
            predict=predict,
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


def laws(pack: Pack, seen: Iterable[ParentSeen], ignore: tuple[Path, ...]) -> Predict:
    """What the pack's laws expect of a candidate's config, by the readings of its parent's run.

    `ignore` are the places that make no other config of it.
    """
    readings = {one.job: one.readings for one in seen}

    def predict(candidate: Candidate, config: Config) -> Mapping[str, float]:
        parent = candidate.parent
        if parent.id not in readings:
            return {}
        facts = facts_of_readings(readings[parent.id], parent.config, pack.canonical)
        return predictions(pack, facts, config, ignore)

    return predict


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
