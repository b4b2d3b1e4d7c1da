"""What a plan says of its own cost, and the bounds on another setting's mass that the pack's laws rest on."""

import math

import pytest
import torch

from auto_loop.trainers.act.readout import CostParts, Problem, eased, plan_metrics, spread
from auto_loop.trainers.act.sinkhorn import Marginals, Penalties, Plan, solve, uniform

TIGHT = {"tol": 1e-13, "max_iter": 200_000}


def costs(seed: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label, embed = (torch.rand(6, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    return label * scale, embed * 4


def solved(label: torch.Tensor, embed: torch.Tensor, how: Penalties) -> tuple[Plan, Marginals]:
    marginals = uniform(*label.shape)
    return solve(label + embed, marginals, how, **TIGHT), marginals


def read(label: torch.Tensor, embed: torch.Tensor, how: Penalties) -> dict[str, float]:
    plan, marginals = solved(label, embed, how)
    problem = Problem(marginals=marginals, how=how)
    others = {"eased": eased(label + embed, problem, plan)}
    found = plan_metrics([CostParts(index=0, embed=embed, label=label)], problem, plan, others)
    return {name.removeprefix("train/ot_"): value for name, value in found.items()} | {
        "m_eff": -how.s * float(plan.log_mass)
    }


HOW = Penalties(reg=0.3, tau_src=1.0, tau_tgt=1.5)
SCALES = [0.5, 30.0, 800.0]


@pytest.mark.parametrize("scale", SCALES)
def test_the_effective_cost_is_the_sum_of_its_terms(scale: float) -> None:
    found = read(*costs(0, scale), HOW)
    kl = 0.3 * found["plan_kl/ref"] + found["plan_kl/src"] + 1.5 * found["plan_kl/tgt"]
    assert found["plan_cost/label"] + found["plan_cost/embed"] + kl == pytest.approx(found["m_eff"], rel=1e-9)
    assert found["plan_label/0"] == found["plan_cost/label"]
    assert found["plan_cost/kl"] == pytest.approx(kl)
    assert sum(found[f"eased_cost/{part}"] for part in ("label", "embed", "kl")) >= found["m_eff"] - 1e-9


@pytest.mark.parametrize("scale", SCALES)
def test_its_slope_in_the_labels_scale_is_the_plan_s_label_cost(scale: float) -> None:
    """The envelope theorem, against central differences of the solver."""
    label, embed = costs(1, scale)
    h = 1e-5
    up, down = (read(label * (1 + way * h), embed, HOW)["m_eff"] for way in (1, -1))
    assert (up - down) / (2 * h) == pytest.approx(read(label, embed, HOW)["plan_cost/label"], rel=1e-5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("alpha", [0.9, 0.3, 0.01, 0.0, 1.5])
def test_the_foreseen_mass_under_other_labels_is_a_lower_bound_and_exact_to_first_order(
    scale: float, alpha: float
) -> None:
    label, embed = costs(2, scale)
    here, there = read(label, embed, HOW), read(label * alpha, embed, HOW)
    foreseen = here["m_eff"] - (1 - alpha) * here["plan_cost/label"]
    eased_too = alpha * here["eased_cost/label"] + here["eased_cost/embed"] + here["eased_cost/kl"]
    on_average = alpha * here["mean_cost/label"] + here["mean_cost/embed"]
    assert there["m_eff"] <= min(foreseen, eased_too, on_average) + 1e-9
    if alpha == 0.9:
        assert foreseen == pytest.approx(there["m_eff"], rel=0.01)
    assert min(foreseen, eased_too, on_average) / HOW.s == pytest.approx(there["m_eff"] / HOW.s, abs=1.5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "other", [Penalties(reg=0.4, tau_src=1, tau_tgt=1.5), Penalties(reg=0.3, tau_src=9, tau_tgt=5)]
)
def test_the_foreseen_mass_under_other_penalties_is_a_lower_bound(scale: float, other: Penalties) -> None:
    label, embed = costs(3, scale)
    here, there = read(label, embed, HOW), read(label, embed, other)
    more = (
        (other.reg - HOW.reg) * here["plan_kl/ref"]
        + (other.tau_src - HOW.tau_src) * here["plan_kl/src"]
        + (other.tau_tgt - HOW.tau_tgt) * here["plan_kl/tgt"]
    )
    on_average = here["mean_cost/label"] + here["mean_cost/embed"]
    assert here["m_eff"] - 1e-9 <= there["m_eff"] <= min(here["m_eff"] + more, on_average) + 1e-9


def test_a_dead_plan_still_says_what_it_would_cost() -> None:
    found = read(*costs(4, 5e5), HOW)
    assert found["m_eff"] > 745 * HOW.s  # its mass is 0 in every float
    assert math.isfinite(found["plan_cost/label"])
    assert found["plan_cost/label"] > 10 * found["plan_cost/embed"] > 0


def test_of_a_fixed_pairing_mean_and_terms_are_those_of_the_pairs() -> None:
    label, _ = costs(5, 3.0)
    label = label[:5]
    marginals = uniform(5, 5, diagonal=True)
    plan = solve(label, marginals, HOW, **TIGHT)
    found = plan_metrics([CostParts(index=2, embed=None, label=label)], Problem(marginals=marginals, how=HOW), plan, {})
    assert found["train/ot_mean_cost/label"] == pytest.approx(float(label.diagonal().mean()))
    assert found["train/ot_plan_embed/2"] == 0.0
    assert found["train/ot_plan_kl/ref"] == pytest.approx(found["train/ot_plan_kl/src"])


def test_the_spread_is_about_one_of_normalised_values_whatever_their_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1, 30):
        values = torch.randn(400, 2, 3, generator=generator) * scale + 7
        assert spread(values[:200], values[200:]) == pytest.approx(scale, rel=0.05)
