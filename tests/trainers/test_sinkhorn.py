"""The solver against closed forms, POT in its safe range, and the laws that the rules compute with."""

import math

import numpy as np
import ot as pot
import pytest
import torch

from auto_loop.trainers.act.sinkhorn import Marginals, Penalties, Plan, objective, solve, uniform

TIGHT = {"tol": 1e-14, "max_iter": 200_000}


def penalties(reg: float, tau_src: float, tau_tgt: float) -> Penalties:
    return Penalties(reg=reg, tau_src=tau_src, tau_tgt=tau_tgt)


def random_case(n: int, m: int, seed: int = 0, scale: float = 1.0) -> tuple[torch.Tensor, Marginals]:
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(n) * 3), rng.dirichlet(np.ones(m) * 3)
    log_a, log_b = torch.from_numpy(np.log(a)), torch.from_numpy(np.log(b))
    marginals = Marginals(log_a=log_a, log_b=log_b, log_c=log_a[:, None] + log_b)
    return torch.from_numpy(rng.uniform(0, scale, (n, m))), marginals


def mass(plan: Plan) -> float:
    return float(plan.log_mass.exp())


def test_the_documented_two_by_two_case_of_pot_with_kl() -> None:
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    plan = solve(cost, uniform(2, 2), penalties(1, 1, 1), **TIGHT)
    expected = torch.tensor([[0.3220536, 0.1184769], [0.1184769, 0.3220536]], dtype=torch.float64)
    assert torch.allclose(plan.pi, expected, atol=5e-8)


def test_the_documented_two_by_two_case_of_pot_with_entropy() -> None:
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    log_half = torch.full((2,), math.log(0.5), dtype=torch.float64)
    flat = Marginals(log_a=log_half, log_b=log_half, log_c=torch.zeros(2, 2, dtype=torch.float64))
    plan = solve(cost, flat, penalties(1, 1, 1), **TIGHT)
    expected = torch.tensor([[0.51122814, 0.18807032], [0.18807032, 0.51122814]], dtype=torch.float64)
    assert torch.allclose(plan.pi, expected, atol=5e-8)


@pytest.mark.parametrize("cost", [0.0, 0.1, 1.0, 58.0, 447.0, 1e4])
@pytest.mark.parametrize(("reg", "tau_src", "tau_tgt"), [(0.3, 1, 1), (0.4, 2, 3), (1, 0.5, 5)])
def test_law_a_a_constant_cost_leaves_mass_exp_minus_cost_over_s(
    cost: float, reg: float, tau_src: float, tau_tgt: float
) -> None:
    how = penalties(reg, tau_src, tau_tgt)
    _, marginals = random_case(7, 5)
    plan = solve(torch.full((7, 5), cost, dtype=torch.float64), marginals, how, **TIGHT)
    assert float(plan.log_mass) == pytest.approx(-cost / how.s, rel=1e-12, abs=1e-12)


def test_the_seeds_dead_case_is_reported_as_e_to_the_minus_194_and_not_as_zero() -> None:
    plan = solve(torch.full((8, 8), 447.0, dtype=torch.float64), uniform(8, 8), penalties(0.3, 1, 1))
    assert float(plan.log_mass) == pytest.approx(-447 / 2.3)
    assert 0 < mass(plan) < 1e-80


def test_law_b_a_diagonal_reference_is_a_fixed_pairing() -> None:
    cost, _ = random_case(6, 6, scale=40)
    how = penalties(0.3, 1, 2)
    plan = solve(cost, uniform(6, 6, diagonal=True), how, **TIGHT)
    expected = torch.diag(torch.exp(-cost.diagonal() / how.s) / 6)
    assert torch.allclose(plan.pi, expected, rtol=1e-11, atol=0)
    assert mass(plan) == pytest.approx(float(plan.pi.diagonal().sum()), rel=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_law_c_the_objective_is_s_times_one_minus_mass(seed: int) -> None:
    cost, marginals = random_case(9, 4, seed, scale=5)
    how = penalties(0.3, 0.7, 2.5)
    plan = solve(cost, marginals, how, **TIGHT)
    value = float(objective(plan, cost, marginals, how))
    assert value == pytest.approx(how.s * (1 - mass(plan)), rel=1e-10)


def test_law_c_holds_for_a_diagonal_reference_too() -> None:
    cost, _ = random_case(6, 6, scale=3)
    how, marginals = penalties(0.3, 1, 2), uniform(6, 6, diagonal=True)
    plan = solve(cost, marginals, how, **TIGHT)
    assert float(objective(plan, cost, marginals, how)) == pytest.approx(how.s * (1 - mass(plan)), rel=1e-10)


def test_law_e_the_gradient_of_the_objective_in_the_cost_is_the_plan() -> None:
    cost, marginals = random_case(4, 3, scale=2)
    how, step = penalties(0.4, 1, 2), 1e-5
    plan = solve(cost, marginals, how, **TIGHT)

    def value_at(shifted: torch.Tensor) -> float:
        return float(objective(solve(shifted, marginals, how, **TIGHT), shifted, marginals, how))

    for i in range(4):
        for j in range(3):
            shift = torch.zeros_like(cost)
            shift[i, j] = step
            slope = (value_at(cost + shift) - value_at(cost - shift)) / (2 * step)
            assert slope == pytest.approx(float(plan.pi[i, j]), abs=1e-8)


def test_infinite_taus_give_balanced_transport() -> None:
    cost, marginals = random_case(6, 5)
    plan = solve(cost, marginals, penalties(0.1, math.inf, math.inf), **TIGHT)
    a, b = marginals.log_a.exp().numpy(), marginals.log_b.exp().numpy()
    balanced = pot.sinkhorn(a, b, cost.numpy(), 0.1, method="sinkhorn_log", stopThr=1e-12, numItermax=100_000)
    assert np.abs(plan.pi.numpy() - balanced).max() < 1e-7
    nearly = solve(cost, marginals, penalties(0.1, 1e9, 1e9), tol=1e-15, max_iter=20_000)
    assert np.abs(nearly.pi.numpy() - balanced).max() < 1e-7


def test_a_vanishing_reg_gives_the_unregularised_plan() -> None:
    cost, marginals = random_case(5, 5)
    plan = solve(cost, marginals, penalties(2e-4, 1, 1), tol=1e-13, max_iter=200_000)
    a, b = marginals.log_a.exp().numpy(), marginals.log_b.exp().numpy()
    exact = pot.unbalanced.mm_unbalanced(a, b, cost.numpy(), 1.0, numItermax=200_000, stopThr=1e-15)
    assert np.abs(plan.pi.numpy() - exact).max() < 4e-4


def test_vanishing_taus_give_the_kernel() -> None:
    cost, marginals = random_case(5, 4)
    plan = solve(cost, marginals, penalties(0.5, 1e-12, 1e-12), **TIGHT)
    assert torch.allclose(plan.log_pi, marginals.log_c - cost / 0.5, atol=1e-9)


def test_scaling_cost_reg_and_taus_together_changes_nothing() -> None:
    cost, marginals = random_case(5, 4)
    plan = solve(cost, marginals, penalties(0.3, 1, 2), **TIGHT)
    scaled = solve(cost * 37, marginals, penalties(0.3 * 37, 37, 74), **TIGHT)
    assert torch.allclose(plan.log_pi, scaled.log_pi, atol=1e-11)


def test_transposing_swaps_the_taus() -> None:
    cost, marginals = random_case(5, 4)
    turned = Marginals(log_a=marginals.log_b, log_b=marginals.log_a, log_c=marginals.log_c.T)
    plan = solve(cost, marginals, penalties(0.3, 0.4, 3), **TIGHT)
    back = solve(cost.T.contiguous(), turned, penalties(0.3, 3, 0.4), **TIGHT)
    assert torch.allclose(plan.log_pi, back.log_pi.T, atol=1e-10)


@pytest.mark.parametrize("scale", [0.5, 20.0, 80.0])
@pytest.mark.parametrize(("reg", "tau_src", "tau_tgt"), [(0.3, 1, 1), (0.5, 3, 1), (1.0, 0.5, 5)])
def test_pot_agrees_where_it_does_not_underflow(scale: float, reg: float, tau_src: float, tau_tgt: float) -> None:
    assert scale / reg < 300
    cost, marginals = random_case(6, 4, scale=scale)
    plan = solve(cost, marginals, penalties(reg, tau_src, tau_tgt), **TIGHT)
    a, b = marginals.log_a.exp().numpy(), marginals.log_b.exp().numpy()
    theirs = pot.unbalanced.sinkhorn_unbalanced(
        a, b, cost.numpy(), reg, (tau_src, tau_tgt), stopThr=1e-16, numItermax=50_000
    )
    assert np.abs(plan.pi.numpy() - theirs).max() < 1e-10


def test_a_cap_that_is_hit_is_reported() -> None:
    cost, marginals = random_case(6, 6, scale=10)
    plan = solve(cost, marginals, penalties(0.01, 100, 100), max_iter=10)
    assert (plan.iterations, plan.converged) == (10, False)
    assert solve(cost, marginals, penalties(1, 1, 1)).converged
