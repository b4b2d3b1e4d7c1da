"""The transport loss: how far source and target frames are apart, and what moving one onto the other costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auto_loop.trainers.act import sinkhorn
from auto_loop.trainers.act.config import FeatureConfig, OtLossConfig, term_name
from auto_loop.trainers.act.readout import CostParts, Problem, eased, plan_metrics, spread


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
    return _total(cost_parts(term, 0, cost_scale))


def cost_parts(term: TermInput, index: int, cost_scale: str) -> CostParts:
    """What embeddings and labels each add to the cost [n, m], with their weights."""
    feature, embed, label = term.feature, None, None
    if term.embeddings is not None:
        source, target = term.embeddings
        apart = (source[:, None] - target[None]).square().sum(-1)
        # Not detached: then the loss cannot be lowered by shrinking every feature alike.
        scaled = apart / apart.mean().clamp_min(1e-12) if cost_scale == "mean" else apart
        embed = feature.term_weight * feature.weight_embed * scaled
    if term.labels is not None:
        source, target = (_cut(one, feature.dim_slice).flatten(1).detach() for one in term.labels)
        label = feature.term_weight * feature.weight_label * torch.cdist(source, target).square()
    return CostParts(index=index, embed=embed, label=label)


def transport_loss(terms: Sequence[TermInput], config: OtLossConfig, *, look: bool = False) -> TransportLoss:
    """Solve the batch's unbalanced problem and weigh the cost with its plan; `look` adds what an eased cost would do.

    By the envelope theorem the plan is the objective's gradient in the cost, so nothing is differentiated through
    the solver. It runs on the CPU in float64: the matrices are small, and not every device has doubles.
    """
    parts = [cost_parts(term, index, config.cost_scale) for index, term in enumerate(terms)]
    costs = {term_name(term.feature, part.index): _total(part) for term, part in zip(terms, parts, strict=True)}
    cost = torch.stack(list(costs.values())).sum(0)
    exact = cost.detach().to("cpu", torch.float64)
    how = sinkhorn.Penalties(reg=config.reg, tau_src=config.tau_src, tau_tgt=config.tau_tgt)
    marginals = sinkhorn.uniform(*exact.shape, diagonal=config.heuristic)
    plan = sinkhorn.solve(exact, marginals, how)
    problem = Problem(marginals=marginals, how=how)
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
        **plan_metrics(parts, problem, plan, {"eased": eased(exact, problem, plan)} if look else {}),
        **_spreads(terms),
    }
    return TransportLoss(loss=(pi.to(cost) * cost).sum(), metrics=metrics)


def _total(parts: CostParts) -> Tensor:
    if parts.embed is None or parts.label is None:
        present = parts.label if parts.embed is None else parts.embed
        assert present is not None, "a feature without anything left is refused before training"
        return present
    return parts.embed + parts.label


def _spreads(terms: Sequence[TermInput]) -> dict[str, float]:
    """How far apart embeddings lie, which shrinking lowers; and labels, which lie about 1 apart when normalised."""
    own = [0.0 if t.labels is None else spread(*(_cut(one, t.feature.dim_slice) for one in t.labels)) for t in terms]
    found = {"train/ot_label_spread": max(own), **{f"train/ot_label_spread/{at}": one for at, one in enumerate(own)}}
    embedded = [spread(*term.embeddings) for term in terms if term.embeddings is not None]
    return {**found, "train/ot_feature_spread": math.fsum(embedded) / len(embedded)} if embedded else found


def _cut(label: Tensor, dim_slice: list[int] | None) -> Tensor:
    return label if dim_slice is None else label[..., dim_slice[0] : dim_slice[1]]
