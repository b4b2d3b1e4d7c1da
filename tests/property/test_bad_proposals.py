"""Ten thousand bad proposals of every kind: each is refused with its reasons, by the guardrails or by the trainer."""

from collections import Counter

import pytest

from benchmarks.bad_proposals import ANYWHERE, OF_ACT, OF_VEC, bad_proposals
from benchmarks.proposals import COUNT, SEED_OF_FUZZ, verdicts

pytest.importorskip("draccus")


def test_every_bad_proposal_is_refused_with_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    found = verdicts(COUNT, SEED_OF_FUZZ)
    assert [(bad.kind, dict(bad.candidate.proposal.changes)) for bad in found.let_through] == []
    assert found.without_reason == []
    assert sum(found.refused.values()) + sum(found.by_trainer.values()) == COUNT
    assert found.by_trainer["refused by the trainer alone"] > 100, "its own class was asked"
    with capsys.disabled():
        for who, seconds in (("panel", found.panel_s), ("trainer's class", found.trainer_s)):
            most, mean = 1000 * max(seconds), 1000 * sum(seconds) / len(seconds)
            print(f"\n{who}: {len(seconds)} bad proposals, longest {most:.1f} ms, mean {mean:.2f} ms", end="")


def test_the_same_seed_gives_the_same_ones_and_every_kind_comes_up() -> None:
    one, other = ([repr(bad.candidate.proposal.reason) + bad.kind for bad in bad_proposals(500, 7)] for _ in range(2))
    assert one == other
    kinds = Counter(bad.kind for bad in bad_proposals(500, 7))
    assert set(kinds) == {*ANYWHERE, *OF_ACT, *OF_VEC}
