"""Decisions derived again from what was kept of them: the same readings, the same rules, the same verdicts.

Nothing of the machine is read, and no history but what the ledger keeps, so a decision comes out the same on another
day, on another machine, and when the pack's file has changed since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from auto_loop.assembly.rulebooks import Rules, rules_of
from auto_loop.domain.config import Config, Json
from auto_loop.domain.decision import DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.errors import AutoLoopError, RefusedError
from auto_loop.domain.fingerprint import Launched
from auto_loop.domain.job import FORK, Job, JobId
from auto_loop.domain.proposal import Accepted, Proposal, Refusal, Silence, Verdict
from auto_loop.loop.deciding import laws
from auto_loop.loop.live import read_by
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import RULES, Limits, Ruling, judge
from auto_loop.proposers.rulebook import silence_of
from auto_loop.rules.engine import Firing, computed, refire
from auto_loop.rules.facts import Facts
from auto_loop.rules.laws import predictions
from auto_loop.rules.model import Stop
from auto_loop.rules.recorded import evidence, facts_of_readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a decision is derived from: what was asked, the rules of then, and the jobs whose runs were seen."""

    kind: DecisionKind
    asked: RulesAsked
    rules: Rules
    jobs: Mapping[JobId, Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What comes of it again: the ruling, the parents without a proposal, and the firing of each parent.

    `candidates` are all that was proposed, `proposer` under which name it was recorded. `by_trainer` are those that the
    trainer's own class refused then: what it said is not asked again.
    """

    ruling: Ruling
    candidates: tuple[Candidate, ...] = ()
    by_trainer: tuple[Candidate, ...] = ()
    silences: tuple[Silence, ...] = ()
    firings: Mapping[JobId, Firing] = field(default_factory=dict)
    proposer: str = RULES


def rules_or_why_not(kept: Mapping[str, Json]) -> Rules | str:
    """The rules that a kept rulebook holds; a text when this program cannot read it any more."""
    try:
        return rules_of(kept)
    except KeyError as error:
        return f"the kept rulebook lacks pack {error}, which its own extends"
    except (AutoLoopError, TypeError, ValueError) as error:
        first = next(iter(str(error).splitlines()), "it is broken")
        return f"this program cannot read the kept rulebook any more: {first}"


def derived(kept: Kept) -> Derived:
    """The decision made again. RefusedError when what it needs is not in the ledger, or not in the pack."""
    return _fork(kept) if kept.kind is DecisionKind.FORK else _asking(kept)


def parent_of(kept: Kept, job: JobId) -> Job:
    """A job that the decision saw."""
    found = kept.jobs.get(job)
    if found is None:
        raise RefusedError(f"it was made on job {job}, which is not in the study")
    return found


def alone(kept: Kept, candidate: Candidate) -> Accepted | None:
    """What the panel makes of one candidate by itself, whatever places there were; None when it refuses it."""
    ruling = _judged(kept, (candidate,), Limits(per_parent=1, round_size=1))
    return ruling.accepted[0] if ruling.accepted else None


def _asking(kept: Kept) -> Derived:
    asked = kept.asked
    firings: dict[JobId, Firing] = {}
    candidates: list[Candidate] = []
    for seen in asked.parents:
        job = parent_of(kept, seen.job)
        firings[job.id] = refire(kept.rules.pack, job.config, seen.readings, asked.shift)
        candidates += [Candidate(parent=job, proposal=proposal) for proposal in firings[job.id].proposals]
    by_trainer = tuple(one for one in candidates if (one.parent.id, one.proposal.rule) in asked.refused_by_trainer)
    left = [one for one in candidates if one not in by_trainer]
    return Derived(
        ruling=_judged(kept, left, Limits(per_parent=asked.per_parent, round_size=asked.room)),
        candidates=tuple(candidates),
        by_trainer=by_trainer,
        silences=tuple(silence_of(job, firing) for job, firing in firings.items() if not firing.proposals),
        firings=firings,
    )


def _judged(kept: Kept, candidates: Sequence[Candidate], limits: Limits) -> Ruling:
    rules = kept.rules
    return judge(
        candidates,
        guardrails=rules.guardrails,
        limits=limits,
        seen=frozenset(kept.asked.hits),
        types=rules.types,
        seed=rules.seed,
        predict=laws(rules.pack, kept.asked.parents, rules.guardrails.ignore),
    )


def _fork(kept: Kept) -> Derived:
    """The successor that a live rule started, or what spoke against it."""
    (seen,) = _one(kept.asked.parents)
    stop = _live_rule(kept)
    parent, stopped = parent_of(kept, seen.job), parent_of(kept, seen.repeats[0] if seen.repeats else seen.job)
    facts = facts_of_readings(seen.readings, stopped.config, kept.rules.pack.canonical)
    changes, unknown = computed(stop.changes, facts)
    proposal = Proposal(
        changes=changes,
        reason=stop.reason.fill(facts),
        rule=stop.name,
        proposer=RULES,
        evidence=evidence(read_by(stop), facts),
    )
    candidate = Candidate(parent=parent, proposal=proposal)
    if unknown:
        lacking = tuple(f"{one} cannot be computed: a reading or a value of the config is unknown" for one in unknown)
        refusal = Refusal(parent=parent.id, proposal=proposal, verdict=Verdict.REFUSED, reasons=lacking)
        return Derived(ruling=Ruling(accepted=(), refused=(refusal,)), candidates=(candidate,), proposer=FORK)
    ruling = _fork_judged(kept, candidate, facts, str(stopped.id) if stop.warm else "")
    refused_then = (parent.id, stop.name) in kept.asked.refused_by_trainer
    if refused_then:
        return Derived(
            ruling=replace(ruling, accepted=()), candidates=(candidate,), by_trainer=(candidate,), proposer=FORK
        )
    return Derived(ruling=ruling, candidates=(candidate,), proposer=FORK)


def _fork_judged(kept: Kept, candidate: Candidate, facts: Facts, warm_from: str) -> Ruling:
    rules = kept.rules

    def predict(_candidate: Candidate, config: Config) -> Mapping[str, float]:
        return predictions(rules.pack, facts, config, rules.guardrails.ignore)

    return judge(
        [candidate],
        guardrails=rules.guardrails,
        limits=Limits(per_parent=1, round_size=1),
        seen=frozenset(kept.asked.hits),
        types=rules.types,
        seed=rules.seed,
        predict=predict,
        launched=Launched(warm_from=warm_from),
    )


def _one(parents: tuple[ParentSeen, ...]) -> tuple[ParentSeen, ...]:
    if len(parents) != 1:
        raise RefusedError(f"a fork is made of one job, and here are {len(parents)}")
    return parents


def _live_rule(kept: Kept) -> Stop:
    for stop in kept.rules.pack.stops:
        if stop.name == kept.asked.rule:
            return stop
    raise RefusedError(f"its live rule {kept.asked.rule!r} is not in the pack that was kept")
