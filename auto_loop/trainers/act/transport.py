"""The transport loss: how far source and target frames are apart, and what moving one onto the other costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auto_loop.trainers.act import sinkhorn
from auto_loop.trainers.act.config import FeatureConfig, OtLossConfig, term_name


@dataclass(frozen=True, slots=True, kw_only=True)
class TermInput:
    """What one feature compares: embeddings [n, d] that carry gradient, labels [n, steps, d] that do not."""

    feature: FeatureConfig
    embeddings: tuple[Tensor, Tensor] | None
    labels: tuple[Tensor, Tensor] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLoss:
    """`loss` is <pi, M> with the plan held constant; `metrics` are plain numbers for the log."""

    loss: Tensor
    metrics: dict[str, float]


def term_cost(term: TermInput, cost_scale: str) -> Tensor:
    """One feature's share of the cost [n, m]: squared distances of embeddings and of labels, weighted."""
    parts: list[Tensor] = []
    feature = term.feature
    if term.embeddings is not None:
        source, target = term.embeddings
        apart = (source[:, None] - target[None]).square().sum(-1)
        # Not detached: then the loss cannot be lowered by shrinking every feature alike.
        scaled = apart / apart.mean().clamp_min(1e-12) if cost_scale == "mean" else apart
        parts.append(feature.weight_embed * scaled)
    if term.labels is not None:
        source, target = (_cut(label, feature.dim_slice).flatten(1).detach() for label in term.labels)
        parts.append(feature.weight_label * torch.cdist(source, target).square())
    return feature.term_weight * torch.stack(parts).sum(0)


def transport_loss(terms: Sequence[TermInput], config: OtLossConfig) -> TransportLoss:
    """Solve the batch's unbalanced problem and weigh the cost with its plan.

    By the envelope theorem the plan is the objective's gradient in the cost, so nothing is differentiated through
    the solver. It runs on the CPU in float64: the matrices are small, and not every device has doubles.
    """
    costs = {term_name(term.feature, index): term_cost(term, config.cost_scale) for index, term in enumerate(terms)}
    cost = torch.stack(list(costs.values())).sum(0)
    exact = cost.detach().to("cpu", torch.float64)
    how = sinkhorn.Penalties(reg=config.reg, tau_src=config.tau_src, tau_tgt=config.tau_tgt)
    marginals = sinkhorn.uniform(*exact.shape, diagonal=config.heuristic)
    plan = sinkhorn.solve(exact, marginals, how)
    pi = plan.pi
    log_mass = float(plan.log_mass)
    metrics = {
        "train/ot_loss": float((pi * exact).sum()),
        "train/ot_pi_sum": float(pi.sum()),
        "train/ot_pi_diag": float(pi.diagonal().sum()),
        "train/ot_log_pi_sum": log_mass,
        "train/ot_objective": float(sinkhorn.objective(plan, exact, marginals, how)),
        "train/ot_m_eff": -how.s * log_mass,
        "train/ot_s": how.s,
        "train/ot_iters": float(plan.iterations),
        "train/ot_not_converged": float(not plan.converged),
        **{f"train/ot_cost/{name}": float(share.detach().mean()) for name, share in costs.items()},
    }
    return TransportLoss(loss=(pi.to(cost) * cost).sum(), metrics=metrics)


def _cut(label: Tensor, dim_slice: list[int] | None) -> Tensor:
    return label if dim_slice is None else label[..., dim_slice[0] : dim_slice[1]]
