"""Unbalanced Sinkhorn in the log domain: the plan, its mass and its objective, at any cost.

Costs of hundreds at reg 0.3 are ordinary here, and exp(-447 / 0.3) is zero in every float: a solver that
works with the kernel itself reports "no mass" where the truth is e^-194. So only logarithms are kept.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A transport plan as logarithms, with what the solver can say about itself."""

    log_pi: Tensor  # [n, m]
    log_c: Tensor  # [n, m], the reference that reg pulls towards
    iterations: int
    converged: bool

    @property
    def pi(self) -> Tensor:
        return self.log_pi.exp()

    @property
    def log_mass(self) -> Tensor:
        """Logarithm of the plan's total mass; finite where the mass itself underflows."""
        return torch.logsumexp(self.log_pi.flatten(), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginals:
    """Log weights of both sides and of the reference plan."""

    log_a: Tensor  # [n]
    log_b: Tensor  # [m]
    log_c: Tensor  # [n, m]


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalties:
    """reg weighs KL(pi | c), the taus weigh the two marginals' KL; an infinite tau is a hard marginal."""

    reg: float
    tau_src: float
    tau_tgt: float

    @property
    def s(self) -> float:
        return self.reg + self.tau_src + self.tau_tgt


def uniform(n: int, m: int, *, diagonal: bool = False) -> Marginals:
    """Uniform marginals of mass 1; the reference is their product, or eye(n)/n for a fixed pairing."""
    log_a = torch.full((n,), -math.log(n), dtype=torch.float64)
    log_b = torch.full((m,), -math.log(m), dtype=torch.float64)
    log_c = log_a[:, None] + log_b[None, :]
    if diagonal:
        log_c = torch.full((n, m), -math.inf, dtype=torch.float64).fill_diagonal_(-math.log(n))
    return Marginals(log_a=log_a, log_b=log_b, log_c=log_c)


def solve(cost: Tensor, marginals: Marginals, penalties: Penalties, *, tol: float = 1e-9, max_iter: int = 2000) -> Plan:
    """Minimise <pi, M> + reg KL(pi|c) + tau_src KL(pi 1|a) + tau_tgt KL(pi^T 1|b) over pi >= 0.

    cost: [n, m], float64 wanted. Stops when a sweep moves lu (a potential divided by reg) by less than tol. A sweep
    contracts by at most tau_src tau_tgt / ((tau_src + reg)(tau_tgt + reg)), which is close to 1 for tau >> reg: hence
    the cap, and `converged` to say whether it was hit. (Chizat et al. 2018, "Scaling algorithms for unbalanced
    optimal transport problems".)
    """
    log_k = marginals.log_c - cost / penalties.reg
    f_src, f_tgt = (_damping(tau, penalties.reg) for tau in (penalties.tau_src, penalties.tau_tgt))
    base_src, base_tgt = f_src * marginals.log_a, f_tgt * marginals.log_b
    lu, lv = torch.zeros_like(base_src), torch.zeros_like(base_tgt)
    for iteration in range(1, max_iter + 1):
        before = lu
        lu = torch.sub(base_src, _lse(log_k + lv, 1), alpha=f_src)
        lv = torch.sub(base_tgt, _lse(log_k + lu[:, None], 0), alpha=f_tgt)
        if iteration % 4 == 0 and float((lu - before).abs().max()) < tol:
            break
    converged = float((lu - before).abs().max()) < tol
    return Plan(log_pi=lu[:, None] + log_k + lv, log_c=marginals.log_c, iterations=iteration, converged=converged)


def objective(plan: Plan, cost: Tensor, marginals: Marginals, penalties: Penalties) -> Tensor:
    """The minimised value, with the generalised KL(p|q) = sum p ln(p/q) - p + q.

    At the optimum it equals s (1 - mass); away from it, it does not, which is what makes it worth computing.
    """
    pi = plan.pi
    transport = (pi * cost).sum()
    rows, columns = torch.logsumexp(plan.log_pi, 1), torch.logsumexp(plan.log_pi, 0)
    return (
        transport
        + penalties.reg * _kl(plan.log_pi, marginals.log_c)
        + _marginal_kl(penalties.tau_src, rows, marginals.log_a)
        + _marginal_kl(penalties.tau_tgt, columns, marginals.log_b)
    )


def _lse(x: Tensor, dim: int) -> Tensor:
    """Log-sum-exp for rows with a finite entry: half the time of torch's, which guards against rows without."""
    top = x.amax(dim, keepdim=True)
    return (x - top).exp_().sum(dim).log_().add_(top.squeeze(dim))


def _damping(tau: float, reg: float) -> float:
    return 1.0 if math.isinf(tau) else tau / (tau + reg)


def _marginal_kl(tau: float, log_p: Tensor, log_q: Tensor) -> Tensor:
    return log_p.new_zeros(()) if math.isinf(tau) else tau * _kl(log_p, log_q)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, q = log_p.exp(), log_q.exp()
    ratio = torch.where(p > 0, log_p - log_q, torch.zeros_like(log_p))
    return (p * ratio - p + q).sum()
