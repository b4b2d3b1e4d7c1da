"""Decisions in the ledger: kept whole, proposals that wait, and what became of a rule's proposals."""

from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.decision import (
    Decision,
    DecisionKind,
    EffectSeen,
    ParentSeen,
    RulesAsked,
    effect_seen,
    rules_asked,
)
from auto_loop.domain.effect import Effect, Finding, Method
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Proposal, Verdict
from auto_loop.ledger.ledger import Ledger
from tests.ledger.make import LOOP, STUDY, new_job, open_study


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_study(tmp_path / "ledger.sqlite3")


def proposed(parent: JobId, rule: str = "halve", **fields: object) -> ProposalRecord:
    proposal = Proposal(changes={"lr@mul": 0.5}, reason="why", rule=rule)
    made = ProposalRecord(loop=LOOP, round=1, parent=parent, proposal=proposal, verdict=Verdict.WAITING)
    return replace(made, **fields)  # type: ignore[arg-type] # a ProposalRecord's own fields


def asked() -> RulesAsked:
    seen = ParentSeen(
        job=JobId(1),
        repeats=(JobId(1), JobId(2)),
        readings={'last("m")': 1.5, 'slope("m")': "unknown", "steps of last": [10, 30]},
        diagnoses=(("cold", "the mass is 1e-80"),),
        unknown={"rule": ('pct("x")',)},
    )
    return RulesAsked(
        event="round 1 is over",
        parents=(seen,),
        room=4,
        per_parent=2,
        shift={"halve": -3},
        hits=("f" * 64,),
        refused_by_trainer=((JobId(1), "halve"),),
        rule="dead",
    )


def test_what_was_asked_comes_back_as_it_was(ledger: Ledger) -> None:
    book = ledger.decisions.keep_rulebook({"pack": "mine", "texts": {"mine": "é"}})
    assert ledger.decisions.keep_rulebook({"texts": {"mine": "é"}, "pack": "mine"}) == book, "kept once"
    kept = Decision(loop=LOOP, round=1, kind=DecisionKind.FORK, at=7.5, detail=asked().to_json(), rulebook=book)
    number = ledger.decisions.record(kept)
    assert ledger.reading.decisions.of_study(STUDY) == (replace(kept, id=number),)
    assert rules_asked(ledger.reading.decisions.of_study(STUDY)[0].detail) == asked()
    assert ledger.reading.decisions.rulebook(book) == {"pack": "mine", "texts": {"mine": "é"}}
    with pytest.raises(RefusedError, match="no rulebook"):
        ledger.reading.decisions.rulebook("0" * 64)


@pytest.mark.parametrize("estimate", [None, -0.25])
def test_an_effect_comes_back_as_it_was(ledger: Ledger, estimate: float | None) -> None:
    bounds = None if estimate is None else estimate - 1
    effect = Effect(
        estimate=estimate,
        low=bounds,
        high=bounds,
        level=0.95,
        method=Method.PAIRED_T,
        pairs=5,
        n_candidate=5,
        n_base=5,
        finding=Finding.UNKNOWN,
        lost=1,
    )
    seen = EffectSeen(candidate=JobId(2), base=JobId(1), seeds=(6, 7), effect=effect, number=3)
    ledger.decisions.record(Decision(loop=LOOP, round=1, kind=DecisionKind.CONFIRMATION, at=1.0, detail=seen.to_json()))
    (kept,) = ledger.reading.decisions.of_kind(STUDY, DecisionKind.CONFIRMATION)
    assert effect_seen(kept.detail) == seen
    assert ledger.reading.decisions.of_kind(STUDY, DecisionKind.SCREENING) == ()


@pytest.mark.parametrize("detail", [{}, {"parents": [3]}, {"parents": {}}, {"room": True}, {"room": 1, "hits": 3}])
def test_a_detail_that_is_something_else_is_refused(detail: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no (list|mapping|whole number)|something else"):
        rules_asked(detail)  # type: ignore[arg-type] # damaged on purpose


def test_a_loop_is_in_the_first_round_that_is_not_decided(ledger: Ledger) -> None:
    ledger.add_job(new_job("base", round=1))
    ledger.add_job(replace(new_job("fork", round=2), ahead=True))
    before = ledger.reading.snapshot(STUDY, LOOP, 5)
    assert (before.round, before.queued, before.queued_in_round) == (1, 2, 1)
    assert [job.name for job in before.queue] == ["fork", "base"]
    ledger.decisions.record(Decision(loop=LOOP, round=1, kind=DecisionKind.SCREENING, at=1.0))
    assert ledger.reading.snapshot(STUDY, LOOP, 5).round == 1
    ledger.decisions.record(Decision(loop=LOOP, round=1, kind=DecisionKind.ROUND, at=2.0))
    assert ledger.reading.snapshot(STUDY, LOOP, 5).round == 2
    ledger.decisions.record(Decision(loop=LOOP, round=2, kind=DecisionKind.ROUND, at=3.0))
    assert ledger.reading.snapshot(STUDY, LOOP, 5).round == 2, "there is no third"


def test_a_proposal_that_waits_is_settled_once(ledger: Ledger) -> None:
    parent = ledger.add_job(new_job("base"))
    ledger.record_proposal(proposed(parent, edits=("lr@mul=0.5",)))
    ledger.record_proposal(proposed(parent, verdict=Verdict.REFUSED))
    (waits,) = ledger.reading.decisions.waiting(LOOP)
    assert waits.id is not None
    child = ledger.add_job(new_job("child", round=2))
    ledger.decisions.settle(waits.id, Verdict.ACCEPTED, child=child, record=waits)
    assert ledger.reading.decisions.waiting(LOOP) == ()
    assert ledger.reading.history(STUDY).proposals[0] == replace(waits, verdict=Verdict.ACCEPTED, child=child)
    with pytest.raises(RefusedError, match="does not wait any more"):
        ledger.decisions.settle(waits.id, Verdict.REFUSED, record=waits)


def test_a_rule_is_counted_over_all_of_the_study(ledger: Ledger) -> None:
    parent = ledger.add_job(new_job("base"))
    children = [ledger.add_job(new_job(f"child{number}", round=2)) for number in range(3)]
    for child in children:
        ledger.record_proposal(proposed(parent, verdict=Verdict.ACCEPTED, child=child))
    ledger.record_proposal(proposed(parent, verdict=Verdict.REFUSED))
    ledger.record_proposal(proposed(parent, rule="double", verdict=Verdict.NO_PLACE))
    ledger.record_proposal(proposed(parent, rule="", verdict=Verdict.REFUSED))
    ledger.decisions.improved(children[0], improved=True)
    ledger.decisions.improved(children[1], improved=False)
    found = ledger.reading.decisions.track_records(STUDY)
    counts = [(one.rule, one.fired, one.accepted, one.measured, one.improved) for one in found]
    assert counts == [("double", 1, 0, 0, 0), ("halve", 4, 3, 2, 1)]
    assert [one.improved for one in ledger.reading.history(STUDY).proposals[:3]] == [True, False, None]
