"""The pack act_ot's laws, and the computed changes that rest on them: what they promise, and when they say nothing."""

from typing import Any

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.edits import Edit, apply
from auto_loop.domain.proposal import Accepted, Proposal
from auto_loop.domain.summary import summary_from_json
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, judge
from auto_loop.rules import decide
from auto_loop.rules.facts import facts_of
from auto_loop.rules.laws import predictions
from auto_loop.rules.pack import shipped_pack
from tests.packs.studies import BASELINE, at_cost, job_of, loss_config, metric, run, trained, with_values

MASS, RATIO = "train/ot_pi_sum", "train/ot_grad_ratio"
ALIVE = 0.2
PACK = shipped_pack("act_ot")
FEATURES = BASELINE["ot"]["loss_config"]["features"]
LOG_MASS = "train/ot_log_pi_sum"


def carried_out(proposal: Proposal, tree: dict[str, Any]) -> Config:
    return apply(Config.of(tree), [Edit.from_change(key, value) for key, value in proposal.changes.items()])


def foreseen(summary: dict[str, Any], changed: Config) -> dict[str, float]:
    return predictions(PACK, facts_of(summary_from_json(summary), PACK.canonical), changed)


LIGHTER = loss_config(features=[{**one, "weight_label": one["weight_label"] * 0.06} for one in FEATURES])


@pytest.mark.parametrize(
    ("tree", "rules"),
    [
        (BASELINE, {"labels, computed"}),
        (LIGHTER, {"labels, computed", "taus, computed"}),
        (
            loss_config(
                tau_src=0.4,
                tau_tgt=0.4,
                features=[{**one, "weight_label": one["weight_label"] * 0.017} for one in FEATURES],
            ),
            {"labels, computed", "taus, computed", "reg, computed"},
        ),
        (loss_config(features=[{**one, "weight_embed": 20.0} for one in FEATURES]), {"all costs, computed"}),
    ],
)
def test_every_computed_change_reaches_the_mass_that_it_promises(tree: dict[str, Any], rules: set[str]) -> None:
    """Under the constant cost for which the law is exact; each by one lever that stays in its range."""
    run_ = trained(tree)
    assert run_["metrics"][MASS]["last"] < 1e-3
    found = {p.rule.removeprefix("mass too low: "): p for p in decide(run_) if p.rule.endswith(", computed")}
    assert set(found) == rules
    for proposal in found.values():
        changed = carried_out(proposal, tree)
        came = trained(changed.data())["metrics"][LOG_MASS]["last"]
        assert came == pytest.approx(-3.5, abs=0.1)
        assert foreseen(run_, changed)[LOG_MASS] == pytest.approx(came, abs=0.01)
        (ruling,) = judge_one(proposal, tree)
        assert ruling.notes == ()  # nothing was clamped


def judge_one(proposal: Proposal, tree: dict[str, Any]) -> tuple[Accepted, ...]:
    candidate = Candidate(parent=job_of(tree), proposal=proposal)
    return judge([candidate], guardrails=PACK.guardrails, limits=Limits(per_parent=1, round_size=1)).accepted


def test_of_several_levers_the_smallest_factor_goes_first_below_what_makes_the_cost() -> None:
    order = [p.rule for p in decide(trained(LIGHTER)) if p.rule.endswith(", computed")]
    assert order == ["mass too low: labels, computed", "mass too low: taus, computed"]
    tree = loss_config(tau_src=0.1, tau_tgt=0.1, reg=0.5, features=LIGHTER["ot"]["loss_config"]["features"][:1])
    tree["ot"]["loss_config"]["features"] = [{**FEATURES[0], "weight_embed": 6.0}]
    run_ = trained(tree)
    sizes = []
    for proposal in decide(run_):
        if proposal.rule.endswith(", computed"):
            after = carried_out(proposal, tree).data()["ot"]["loss_config"]
            sizes.append(max(after["reg"] / 0.5, after["tau_src"] / 0.1, 1 / after["features"][0]["term_weight"]))
    assert len(sizes) == 3
    assert sizes == sorted(sizes)


def test_a_law_keeps_silent_where_it_does_not_hold() -> None:
    dead = trained(BASELINE)
    silent: list[dict[str, Any]] = [
        with_values(batch_size=32),
        with_values(ot__sharpness=1.0),
        loss_config(heuristic=True),
        loss_config(label_steps="1"),
        loss_config(features=FEATURES[:3]),
        loss_config(features=[{**one, "weight_label": 0.1} for one in FEATURES]),  # the image had none
        with_values(ot__topk_src_episodes=20),
    ]
    for tree in silent:
        assert LOG_MASS not in foreseen(dead, Config.of(tree))
    dead["metrics"]["train/ot_src_episodes"] = metric(1.3)  # then 20 are as many as there are
    assert LOG_MASS in foreseen(dead, Config.of(silent[-1]))


@pytest.mark.parametrize(("kind", "power"), [("raw", 0.35), ("mean", 0.6)])
def test_lambda_alone_moves_the_gradient_ratio_by_a_measured_power(kind: str, power: float) -> None:
    run_ = trained(loss_config(cost_scale=kind))
    more, less, other = (
        loss_config(cost_scale=kind),
        loss_config(cost_scale=kind),
        loss_config(cost_scale=kind, reg=0.5),
    )
    more["ot"]["lambda_ot"] = other["ot"]["lambda_ot"] = 0.5
    less["ot"]["lambda_ot"] = 0.02
    before = run_["metrics"][RATIO]["last"]
    assert foreseen(run_, Config.of(more))[RATIO] == pytest.approx(before * 5**power)
    assert foreseen(run_, Config.of(less))[RATIO] == pytest.approx(before / 5)
    assert RATIO not in foreseen(run_, Config.of(other))


def test_scaling_costs_by_their_means_with_the_same_weight_keeps_the_foreseen_mass() -> None:
    alive = at_cost(ALIVE, 3.0, 10.0, **{RATIO: 0.01})
    (proposal,) = (p for p in decide(alive) if p.rule.startswith("transport inert: scaled"))
    assert proposal.changes["ot.loss_config.features.*.weight_embed@mul"] == 50.0
    one_term = loss_config(features=[{**FEATURES[0]}, *({**one, "weight_embed": 0.0} for one in FEATURES[1:])])
    alive["config"] = one_term
    (proposal,) = (p for p in decide(alive) if p.rule.startswith("transport inert: scaled"))
    assert foreseen(alive, carried_out(proposal, one_term))[LOG_MASS] == pytest.approx(-13 / 2.3)


def unlike_plans() -> dict[str, Any]:
    """A run of the baseline whose three plans differ: the first is dearest in labels, the second in embeddings."""
    found = trained(BASELINE)
    terms = {f"label_spread/{at}": 5.0 for at in range(len(FEATURES))}
    for plan, label, embed, kl in (("plan", 1000.0, 0.4, 3.0), ("eased", 550.0, 0.9, 1.0), ("mean", 1500.0, 0.2, 0.0)):
        for at, feature in enumerate(FEATURES):
            terms |= {f"{plan}_label/{at}": label * feature["weight_label"], f"{plan}_embed/{at}": embed}
        if plan != "mean":
            terms |= {f"{plan}_kl/{of}": kl + more for of, more in (("ref", 0.0), ("src", 0.1), ("tgt", 0.2))}
    found["metrics"] |= {f"train/ot_{name}": metric(value) for name, value in terms.items()}
    return found


def scaled(weight: str, factor: float) -> dict[str, Any]:
    """The baseline with this weight of every feature times a factor."""
    return loss_config(features=[{**one, weight: one[weight] * factor} for one in FEATURES])


@pytest.mark.parametrize(
    ("tree", "log_mass"),
    [
        (loss_config(reg=0.6), -44.43269230769231),
        (loss_config(tau_src=5.0, tau_tgt=5.0), -12.080097087378642),
        (scaled("weight_label", 0.01), -1.48804347826087),
        (scaled("weight_embed", 10), -57.14130434782609),
        (loss_config(cost_scale="mean"), -49.70652173913044),
        (loss_config(normalize_inputs=True), -3.840434782608696),
        (with_values(ot__lambda_ot=0.4, policy__optimizer_lr=1e-4), -50.09782608695653),
        (loss_config(cost_scale="mean", normalize_inputs=True), None),
    ],
)
def test_the_largest_of_three_plans_bounds_is_foreseen(tree: dict[str, Any], log_mass: float | None) -> None:
    """Worked out once with the bounds as one formula, and held since."""
    found = foreseen(unlike_plans(), Config.of(tree)).get(LOG_MASS)
    assert found == (None if log_mass is None else pytest.approx(log_mass, rel=1e-12))


def test_a_plan_that_a_run_did_not_log_leaves_the_bounds_of_the_others() -> None:
    run_ = unlike_plans()
    every = foreseen(run_, Config.of(loss_config(reg=0.6)))[LOG_MASS]
    del run_["metrics"]["train/ot_eased_label/0"]
    assert foreseen(run_, Config.of(loss_config(reg=0.6)))[LOG_MASS] < every


def test_with_the_effective_cost_alone_more_of_reg_or_taus_is_foreseen_and_less_is_not() -> None:
    run_ = run(**{"train/ot_m_eff": metric(23.0)})
    assert foreseen(run_, Config.of(loss_config(reg=1.0))) == {LOG_MASS: pytest.approx(-23 / 3)}
    for tree in (loss_config(reg=0.1), loss_config(features=FEATURES[:3]), with_values(batch_size=32)):
        assert foreseen(run_, Config.of(tree)) == {}
