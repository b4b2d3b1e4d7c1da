"""What a plan says about itself: where its cost comes from, what other plans would cost, the scale of what it compares.

The plan's shape is its share of the mass, π̂ = π / Σπ, taken from logarithms: of a dead plan of mass 1e-80 it is as
well defined as of any other. Over plans of mass 1 the problem reduces to

    M_eff = -s ln Σπ = min over π̂ of  <π̂, M> + reg KL(π̂ | c) + tau_src KL(π̂ 1 | a) + tau_tgt KL(π̂ᵀ 1 | b)

(put π = p π̂ into the objective and minimise over p). So M_eff is concave in the cost's weights, reg and taus
together, and the terms of any one plan bound it from above under any other setting: M_eff there is at most the same
terms, each scaled by its own factor. Three plans are read out as such witnesses: `plan`, the optimum of now, exact for
small changes; `eased`, the optimum if the cost were scaled down to about s, near what a dead plan becomes when it is
brought to life; and `mean`, the reference itself, at which all KL are 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auto_loop.trainers.act.sinkhorn import Marginals, Penalties, Plan, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class CostParts:
    """A feature's weighted shares of the cost [n, m], None where it has none; `index` is its place in the config."""

    index: int
    embed: Tensor | None
    label: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What was solved, beside the cost."""

    marginals: Marginals
    how: Penalties


def eased(cost: Tensor, problem: Problem, plan: Plan) -> Tensor:
    """The shape of the plan under the cost scaled by s / M_eff, [n, m] of mass 1; the plan's own if it is alive.

    A witness need not be optimal, so a rough solution does.
    """
    scale = min(1.0, 1.0 / max(-float(plan.log_mass), 1e-12))
    if scale == 1.0:
        return (plan.log_pi - plan.log_mass).exp()
    found = solve(cost * scale, problem.marginals, problem.how, tol=1e-3, max_iter=200)
    return (found.log_pi - found.log_mass).exp()


def plan_metrics(
    parts: Sequence[CostParts], problem: Problem, plan: Plan, others: Mapping[str, Tensor]
) -> dict[str, float]:
    """Each witness's mean cost, of labels and of embeddings, by feature and in all; and its KL terms.

    Witnesses are the plan, the reference (`mean`), and the `others` by their names. `cost/label`, `cost/embed` and
    `cost/kl`, the KL terms times reg and taus, add up to M_eff for the plan, and to no less for the others.
    """
    marginals, how = problem.marginals, problem.how
    named = {
        f"{kind}/{part.index}": share.detach().to("cpu", torch.float64)
        for part in parts
        for kind, share in (("label", part.label), ("embed", part.embed))
        if share is not None
    }
    costs = torch.stack(list(named.values()))
    reference = marginals.log_c.exp()
    witnesses = {"plan": (plan.log_pi - plan.log_mass).exp(), **others}
    metrics: dict[str, float] = {}
    for who, shape in (*witnesses.items(), ("mean", reference)):
        means = dict(zip(named, (costs.flatten(1) @ shape.flatten()).tolist(), strict=True))
        for kind in ("label", "embed"):
            every = {part.index: means.get(f"{kind}/{part.index}", 0.0) for part in parts}
            metrics |= {f"train/ot_{who}_{kind}/{index}": value for index, value in every.items()}
            metrics[f"train/ot_{who}_cost/{kind}"] = sum(every.values())
    for who, shape in witnesses.items():
        ref, src = _kl(shape, marginals.log_c), _kl(shape.sum(1), marginals.log_a)
        tgt = _kl(shape.sum(0), marginals.log_b)
        weighed = how.reg * ref + how.tau_src * src + how.tau_tgt * tgt
        metrics |= {f"train/ot_{who}_kl/{of}": kl for of, kl in (("ref", ref), ("src", src), ("tgt", tgt))}
        metrics[f"train/ot_{who}_cost/kl"] = weighed
    return metrics


def spread(source: Tensor, target: Tensor) -> float:
    """How far samples [n, ...] of both sides lie from their common mean, root mean square over the dimensions."""
    both = torch.cat([one.detach().flatten(1) for one in (source, target)])
    return float((both - both.mean(0)).square().mean().sqrt())


def _kl(p: Tensor, log_q: Tensor) -> float:
    """KL of two distributions of mass 1; a place without mass adds nothing, also where the reference has none."""
    return float(torch.where(p > 0, p * (p.log() - log_q), 0.0).sum())
