"""What the panel lets through is sound, and what it gets never makes it fail, whatever is proposed."""

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.fingerprint import fingerprint_of, under_seed
from auto_loop.domain.paths import leaves, matches, parse_path, render_path
from auto_loop.domain.proposal import Proposal
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, judge
from auto_loop.rules.pack import shipped_pack
from tests.packs.studies import BASELINE, job_of, with_values

RAILS = replace(shipped_pack("act_ot").guardrails, ignore=(parse_path("seed"),))
PARENTS = (job_of(BASELINE, 1), job_of(with_values(ot__lambda_ot=0.2), 2))
PATHS = [render_path(path) for path, _ in leaves(BASELINE)]
KEYS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            [
                *PATHS,
                "ot",
                "ot.loss_config",
                "ot.loss_config.features",
                "ot.loss_config.features.*.weight_label",
                "ot.loss_config.features.*",
                "ot.*",
                "*",
                "wandb",
                "",
                "a..b",
                "ot.lamda",
                "ot.loss_config.features.9.x",
            ]
        ),
        st.sampled_from(["", "@set", "@mul", "@add", "@min", "@max", "@append", "@remove", "@sett", "@"]),
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=4)
    | st.sampled_from([0, 0.0, 0.5, 2, "mean", "raw", 3]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from(["weight_label", "reg"]), below),
    max_leaves=4,
)  # fmt: skip
PROPOSALS = st.builds(
    Proposal,
    changes=st.dictionaries(KEYS, VALUES, min_size=1, max_size=3),
    reason=st.just("x"),
    proposer=st.sampled_from(["rules", "inbox"]),
    group=st.sampled_from(["a", "b"]),
    priority=st.integers(0, 3),
)
CANDIDATES = st.builds(Candidate, parent=st.sampled_from(PARENTS), proposal=PROPOSALS)


SEED = parse_path("seed")
SEEDED = st.builds(
    Proposal,
    changes=st.builds(
        lambda seed, op, rest: {f"seed{op}": seed, **rest},
        st.integers(-1, 5) | st.sampled_from([1000, 1.5, None, True, "x"]),
        st.sampled_from(["", "@set", "@add", "@mul", "@max"]),
        st.just({}) | st.fixed_dictionaries({"ot.lambda_ot@mul": st.sampled_from([1, 1.5, 0.5])}),
    ),
    reason=st.just("x"),
    group=st.sampled_from(["a", "b"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.builds(Candidate, parent=st.sampled_from(PARENTS), proposal=SEEDED), max_size=8))
def test_seeds_are_no_knob_and_a_ruling_comes_again_by_its_hits(candidates: list[Candidate]) -> None:
    limits = Limits(per_parent=2, round_size=4)
    tried = frozenset(_prints_of(parent.config) for parent in PARENTS)
    again = {under_seed(_prints_of(one.config), one.config, SEED) for one in PARENTS}
    seen = tried | again | {under_seed(_prints_of(PARENTS[0].config), _with_seed(PARENTS[0].config, 3), SEED)}
    ruling = judge(candidates, guardrails=RAILS, limits=limits, seen=seen, seed=SEED)
    assert ruling.hits <= seen
    assert judge(candidates, guardrails=RAILS, limits=limits, seen=ruling.hits, seed=SEED) == ruling
    for one in ruling.accepted:
        parent = PARENTS[one.parent - 1].config
        assert (one.config.data()["seed"] != parent.data()["seed"]) == one.repeat
        if one.repeat:
            assert one.config == _with_seed(parent, one.config.data()["seed"])
            assert under_seed(_prints_of(one.config), one.config, SEED) not in seen
        else:
            assert _prints_of(one.config) not in seen


def _prints_of(config: Config) -> str:
    return fingerprint_of(config, RAILS.ignore)


def _with_seed(config: Config, seed: Any) -> Config:
    return apply(config, parse_edits([f"seed={seed}"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(CANDIDATES, max_size=6))
def test_what_passes_is_sound(candidates: list[Candidate]) -> None:
    limits = Limits(per_parent=1, round_size=3)
    ruling = judge(candidates, guardrails=RAILS, limits=limits)
    assert len(ruling.accepted) <= limits.round_size
    assert len(ruling.accepted) + len(ruling.refused) == len(candidates)
    assert all(refusal.reasons for refusal in ruling.refused)
    prints = [fingerprint_of(one.config, RAILS.ignore) for one in ruling.accepted]
    assert len(set(prints)) == len(prints)
    for one in ruling.accepted:
        parent = PARENTS[one.parent - 1].config
        assert apply(parent, parse_edits(one.edits)) == one.config
        _assert_within_bounds(parent, one.config)


def _assert_within_bounds(parent: Config, child: Config) -> None:
    before = dict(leaves(parent.data()))
    changed: dict[Any, Any] = {
        path: new for path, new in leaves(child.data()) if path not in before or before[path] != new
    }
    assert RAILS.allow is not None
    for path, value in changed.items():
        whole = render_path(path).startswith("ot.loss_config.features")
        assert whole or any(matches(path, pattern) for pattern in RAILS.allow)
        for bound in RAILS.ranges:
            if matches(path, bound.path) and value is not None:
                assert (bound.low or -math.inf) <= value <= (bound.high or math.inf)
    for feature in child.data()["ot"]["loss_config"]["features"]:
        if isinstance(feature, dict) and {"term_weight", "weight_label", "weight_embed"} <= feature.keys():
            assert feature["term_weight"] != 0
            embeds = feature.get("use_learned_embed", True) and feature["weight_embed"] != 0
            assert embeds or feature["weight_label"] != 0
