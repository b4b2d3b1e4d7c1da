"""The cost's terms and the loss's gradient."""

import dataclasses

import torch

from auto_loop.trainers.act.config import FeatureConfig, OtLossConfig
from auto_loop.trainers.act.transport import TermInput, term_cost, transport_loss

FEATURE = FeatureConfig(weight_embed=0.5, weight_label=2.0, term_weight=3.0, dim_slice=[1, 3], term_name="hand")


def pieces(seed: int = 0) -> TermInput:
    generator = torch.Generator().manual_seed(seed)
    embeddings = (torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator))
    labels = (torch.randn(5, 2, 3, generator=generator), torch.randn(5, 2, 3, generator=generator))
    return TermInput(feature=FEATURE, embeddings=embeddings, labels=labels)


def test_a_term_is_the_weighted_sum_of_squared_distances() -> None:
    term = pieces()
    assert term.embeddings is not None
    assert term.labels is not None
    cost = term_cost(term, "raw")
    embedding = (term.embeddings[0][1] - term.embeddings[1][2]).square().sum()
    label = (term.labels[0][1, :, 1:3] - term.labels[1][2, :, 1:3]).square().sum()
    assert torch.isclose(cost[1, 2], 3 * (0.5 * embedding + 2 * label), rtol=1e-5)


def test_with_the_mean_scale_shrinking_the_features_buys_nothing() -> None:
    term = dataclasses.replace(pieces(), labels=None)
    assert term.embeddings is not None
    source, target = term.embeddings
    source.requires_grad_(True)
    shrunk = dataclasses.replace(term, embeddings=(source * 0.01, target * 0.01))
    assert torch.allclose(term_cost(term, "mean"), term_cost(shrunk, "mean"), rtol=1e-4)
    target.requires_grad_(True)
    transport_loss([term], OtLossConfig(cost_scale="mean")).loss.backward()
    assert source.grad is not None
    assert target.grad is not None
    # Along the features' own length there is nothing to gain; only their arrangement counts.
    along = (source.grad * source.detach()).sum() + (target.grad * target.detach()).sum()
    assert abs(float(along)) < 1e-5 * float(source.grad.norm() * source.detach().norm())


def test_labels_shape_the_plan_and_carry_no_gradient() -> None:
    term = pieces()
    assert term.labels is not None
    label = term.labels[0].requires_grad_(True)
    only_labels = dataclasses.replace(term, embeddings=None, labels=(label, term.labels[1]))
    assert not transport_loss([only_labels], OtLossConfig()).loss.requires_grad


def test_the_losss_gradient_is_that_of_the_objective() -> None:
    """Against finite differences of the objective: the plan is held constant, and that is exact."""
    config = OtLossConfig(reg=0.7, tau_src=1.0, tau_tgt=2.0)
    feature = FeatureConfig(weight_embed=0.3, term_name="x")
    source = torch.randn(3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.randn(3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def at(moved: torch.Tensor) -> tuple[torch.Tensor, float]:
        found = transport_loss([TermInput(feature=feature, embeddings=(moved, target), labels=None)], config)
        return found.loss, found.metrics["train/ot_objective"]

    source.requires_grad_(True)
    at(source)[0].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert source.grad is not None
    for i, j in ((0, 0), (1, 1), (2, 0)):
        step = torch.zeros_like(source)
        step[i, j] = 1e-4
        slope = (at(source.detach() + step)[1] - at(source.detach() - step)[1]) / 2e-4
        assert abs(slope - float(source.grad[i, j])) < 1e-6


def test_with_the_heuristic_all_mass_is_on_the_sampled_pairs() -> None:
    found = transport_loss([pieces()], OtLossConfig(heuristic=True)).metrics
    assert 0 < found["train/ot_pi_diag"] == found["train/ot_pi_sum"]


def test_the_metrics_agree_with_each_other() -> None:
    found = transport_loss([pieces()], OtLossConfig(reg=0.4, tau_src=2.0, tau_tgt=3.0)).metrics
    assert abs(found["train/ot_m_eff"] + found["train/ot_s"] * found["train/ot_log_pi_sum"]) < 1e-9
    assert abs(found["train/ot_objective"] - found["train/ot_s"] * (1 - found["train/ot_pi_sum"])) < 1e-6
    assert found["train/ot_s"] == 5.4
    assert found["train/ot_not_converged"] == 0
    assert 0 < found["train/ot_pi_diag"] < found["train/ot_pi_sum"] < 1
    assert "train/ot_cost/hand" in found
