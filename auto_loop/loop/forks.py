"""Forks: the changed successor of a job that a live rule stops, judged by the panel as every proposal is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from auto_loop.domain.cell import cells_of
from auto_loop.domain.config import Config, Json
from auto_loop.domain.decision import DecisionId, DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.fingerprint import Launched
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job, JobId
from auto_loop.domain.proposal import Accepted, Proposal, Verdict
from auto_loop.loop.children import Child, queue_cell
from auto_loop.loop.deciding import keep
from auto_loop.loop.families import family_of, root_of
from auto_loop.loop.journal import Journal
from auto_loop.loop.live import Fired, law_expressions, read_by
from auto_loop.loop.parts import Parts
from auto_loop.loop.rounds import places
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import RULES, Limits, Ruling, judge
from auto_loop.rules.engine import computed
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import NEXT
from auto_loop.rules.laws import predictions
from auto_loop.rules.model import Then
from auto_loop.rules.recorded import evidence, readings_of

FORKED, NOT_FORKED = "job forked", "fork refused"  # kinds of events
_ONE = Limits(per_parent=1, round_size=1)


def only_a_stop(parts: Parts, job: Job, fired: Fired) -> str:
    """Why a live rule that would start a successor only stops the job, in words; empty when there is nothing to say."""
    if fired.stop.then is not Then.FORK:
        return ""
    if not parts.call.decide:
        return "without --decide nothing follows"
    if job.round >= parts.call.rounds:
        return f"round {job.round} is the last (--rounds {parts.call.rounds})"
    if job.origin.proposer == CONFIRMATION:
        return "it is to confirm a config, not to find another"
    reading = parts.ledger.reading
    before = [one.name for one in reading.children_of(_lead(parts, job)) if one.origin.proposer == FORK]
    if before:
        return f"{before[0]} is its config's changed successor already"
    taken = _taken_places(parts, job.round + 1)
    if taken >= places(parts):
        whom = "others" if parts.call.steady else "other successors"
        return f"the places of round {job.round + 1} went to {whom} ({taken} of {places(parts)})"
    return ""


def _taken_places(parts: Parts, number: int) -> int:
    """How many of a round's places are taken: before it is its turn, forks only, but for the steady state."""
    if parts.call.steady:
        return len(parts.ledger.reading.firsts_of_round(parts.loop, number))
    there = parts.ledger.reading.jobs_of_round(parts.study, parts.loop, number)
    return sum(one.origin.proposer == FORK for one in there)


def fork(parts: Parts, journal: Journal, job: Job, fired: Fired) -> None:
    """Judge the successor and queue it, or write down why there is none. Call it in the transaction of the stop.

    Of a config's repeats the first job is the parent, whichever of them was stopped.
    """
    none_left = only_a_stop(parts, job, fired)  # another of this very commit may have taken the last place
    if none_left:  # nobody was asked: there is no decision to be derived again
        _tell_none(journal, job, fired, (none_left,))
        return
    parent = _lead(parts, job)
    asked = _Asked(parent=parent, job=job, fired=fired)
    changes, unknown = computed(fired.stop.changes, fired.facts)
    proposal = _proposal(asked, changes)
    ruling, by_trainer = Ruling(accepted=(), refused=()), ""
    if unknown:
        told = tuple(f"{one} cannot be computed: a reading or a value of the config is unknown" for one in unknown)
    else:
        ruling, by_trainer = _ruled(parts, asked, proposal)
        told = (by_trainer,) if by_trainer else tuple(one for refusal in ruling.refused for one in refusal.reasons)
    decision = _keep(parts, asked, ruling, by_trainer)
    record = ProposalRecord(
        loop=parts.loop,
        round=job.round,
        parent=parent.id,
        proposal=replace(proposal, proposer=FORK),
        verdict=Verdict.REFUSED,
        reasons=told,
        decision=decision,
    )
    if told:
        parts.ledger.record_proposal(record)
        _tell_none(journal, job, fired, told)
        return
    (accepted,) = ruling.accepted
    name, child = _queue(parts, asked, accepted)
    parts.ledger.record_proposal(_taken(record, accepted, child))
    detail: dict[str, Json] = {"job": job.name, "child": name, "rule": fired.stop.name, "reason": proposal.reason}
    journal.write(FORKED, child, {**detail, "edits": list(accepted.edits), "warm": fired.stop.warm})


def _tell_none(journal: Journal, job: Job, fired: Fired, reasons: tuple[str, ...]) -> None:
    journal.write(NOT_FORKED, job.id, {"job": job.name, "rule": fired.stop.name, "reasons": list(reasons)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A fork to be decided: the job that was stopped, the parent of its successor, and the rule that fired."""

    parent: Job
    job: Job
    fired: Fired

    @property
    def warm_from(self) -> JobId | None:
        """The job whose checkpoint the successor starts from."""
        return self.job.id if self.fired.stop.warm else None


def _lead(parts: Parts, job: Job) -> Job:
    """The first job of the config's cell; of one whose first job was remedied, and it was not, it is itself."""
    if job.origin.proposer not in (REPEAT, REMEDY):
        return job
    cells = cells_of(family_of(parts, root_of(parts, job)))
    return next((cell.lead for cell in cells if any(one.id == job.id for one in cell.jobs)), job)


def _proposal(asked: _Asked, changes: Mapping[str, Json]) -> Proposal:
    """What the rule would change. Judged as a rule's: what lies out of range is clamped."""
    stop, facts = asked.fired.stop, asked.fired.facts
    return Proposal(
        changes=changes,
        reason=stop.reason.fill(facts),
        rule=stop.name,
        proposer=RULES,
        evidence=evidence(read_by(stop), facts),
    )


def _ruled(parts: Parts, asked: _Asked, proposal: Proposal) -> tuple[Ruling, str]:
    """The panel's ruling, and what the trainer's own config class has against it."""

    def predict(_candidate: Candidate, config: Config) -> Mapping[str, float]:
        return predictions(parts.pack, asked.fired.facts, config, parts.guardrails.ignore)

    ruling = judge(
        [Candidate(parent=asked.parent, proposal=proposal)],
        guardrails=parts.guardrails,
        limits=_ONE,
        seen=parts.tried.fingerprints(parts.study, parts.loop),
        types=parts.types,
        seed=parts.seed,
        predict=predict,
        launched=Launched(warm_from=str(asked.warm_from or "")),
    )
    faults = parts.workshop.refused_by_trainer(tuple(one.config for one in ruling.accepted))
    return ruling, "".join(f"the trainer would refuse it: {text}" for text in faults.values())


def _keep(parts: Parts, asked: _Asked, ruling: Ruling, by_trainer: str) -> DecisionId:
    """The asking, whole: with it alone the successor is derived again."""
    stop = asked.fired.stop
    seen = ParentSeen(job=asked.parent.id, repeats=(asked.job.id,), readings=_readings(parts, asked))
    whole = RulesAsked(
        event=f"live rule {stop.name!r} fired at step {asked.fired.at} of {asked.job.name}",
        parents=(seen,),
        room=_ONE.round_size,
        per_parent=_ONE.per_parent,
        hits=tuple(sorted(ruling.hits)),
        refused_by_trainer=((asked.parent.id, stop.name),) if by_trainer else (),
        rule=stop.name,
    )
    return keep(parts, DecisionKind.FORK, asked.job.round, whole)


def _readings(parts: Parts, asked: _Asked) -> dict[str, Json]:
    """Everything that the rule and the pack's laws ask of the run."""
    facts = asked.fired.facts
    found = readings_of(read_by(asked.fired.stop), facts)
    config = facts.config or {}
    both: Facts = replace(facts, config={**config, NEXT: config})
    return dict(sorted((found | readings_of(law_expressions(parts.pack), both, of_any=True)).items()))


def _queue(parts: Parts, asked: _Asked, accepted: Accepted) -> tuple[str, JobId]:
    """The successor, with its repeats behind it, before the rest of the queue."""
    proposal = accepted.proposal
    child = Child(
        parent=asked.parent,
        round=asked.job.round + 1,
        config=accepted.config,
        edits=accepted.edits,
        proposer=FORK,
        rule=proposal.rule,
        reason=proposal.reason,
        notes=accepted.notes,
        ahead=True,
        warm_from=asked.warm_from,
    )
    return queue_cell(parts, child)


def _taken(record: ProposalRecord, accepted: Accepted, child: JobId) -> ProposalRecord:
    return replace(
        record,
        verdict=Verdict.ACCEPTED,
        edits=accepted.edits,
        reasons=accepted.notes,
        child=child,
        predictions=accepted.predictions,
    )
