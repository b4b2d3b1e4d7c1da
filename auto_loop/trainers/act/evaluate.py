"""Offline evaluation: the whole held-out set, in a fixed order, counting real steps only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from auto_loop.trainers.act.config import ACTION
from auto_loop.trainers.act.frames import Frames
from auto_loop.trainers.act.model import IS_PAD, ActPolicy, kl_divergence

BATCH = 256
PREFIX = "eval/offline_eval/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    """Sums over one split: absolute error over valid action values, their number, and the VAE's divergence."""

    error: float = 0.0
    values: int = 0
    divergence: float = 0.0
    frames: int = 0
    batches: int = 0

    def __add__(self, other: "_Totals") -> "_Totals":
        return _Totals(
            error=self.error + other.error,
            values=self.values + other.values,
            divergence=self.divergence + other.divergence,
            frames=self.frames + other.frames,
            batches=self.batches + other.batches,
        )

    @property
    def l1(self) -> float:
        return self.error / max(1, self.values)


def evaluate(
    policy: ActPolicy, frames: Frames, held_out: dict[str, npt.NDArray[np.int64]], kl_weight: float
) -> dict[str, float]:
    """Mean L1 in standard deviations, over all and by split; the loss adds the weighted divergence of the posterior."""
    policy.eval()
    with torch.inference_mode():
        by_split = {name: _sum(policy, frames, rows) for name, rows in held_out.items()}
    policy.train()
    whole = sum(by_split.values(), _Totals())
    divergence = whole.divergence / max(1, whole.frames)
    return {
        f"{PREFIX}avg_l1": whole.l1,
        f"{PREFIX}avg_loss": whole.l1 + kl_weight * divergence,
        f"{PREFIX}n_batches": whole.batches,
        **{f"{PREFIX}avg_l1_{name}": totals.l1 for name, totals in by_split.items()},
    }


def _sum(policy: ActPolicy, frames: Frames, rows: npt.NDArray[np.int64]) -> _Totals:
    totals = _Totals()
    for start in range(0, len(rows), BATCH):
        batch = frames.batch(rows[start : start + BATCH])
        prediction = policy(batch, ask_posterior=True)
        valid = ~batch[IS_PAD]
        error = (prediction.actions - batch[ACTION]).abs().sum(-1)[valid].sum(dtype=torch.float64)
        divergence = 0.0
        if prediction.mean is not None and prediction.log_variance is not None:
            divergence = float(kl_divergence(prediction.mean, prediction.log_variance).sum(dtype=torch.float64))
        totals += _Totals(
            error=float(error),
            values=int(valid.sum()) * batch[ACTION].shape[-1],
            divergence=divergence,
            frames=len(valid),
            batches=1,
        )
    return totals
