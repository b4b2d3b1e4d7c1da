"""One optimiser step: behaviour cloning on both domains, and transport of source onto target embeddings."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auto_loop.trainers.act.config import ACTION, TrainConfig, pairs_per_step
from auto_loop.trainers.act.corpus import Corpus
from auto_loop.trainers.act.model import IS_PAD, ActPolicy, kl_divergence
from auto_loop.trainers.act.transport import TermInput, transport_loss


class NonFiniteLossError(Exception):
    """The loss is no longer a number; `metrics` is what the step still knew."""

    def __init__(self, metrics: dict[str, float]) -> None:
        super().__init__("the loss is not finite")
        self.metrics = metrics


class Learner:
    """Policy, optimiser and random streams.

    Initialisation, BC sampling, OT sampling and dropout each have a stream of their own: two variants under one seed
    then see the same BC batches, and their difference is not drowned by what they drew.
    """

    def __init__(self, config: TrainConfig, corpus: Corpus, accelerator: Any) -> None:
        # A nearly dead plan makes gradients of 1e-40, and arithmetic on denormals is a hundred times slower.
        torch.set_flush_denormal(True)
        self.config, self._corpus, self._accelerator = config, corpus, accelerator
        rank = accelerator.process_index
        torch.manual_seed(config.seed)
        self.policy = ActPolicy(config.policy, corpus.frames.shapes).to(accelerator.device)
        self.optimizer = torch.optim.AdamW(
            self.policy.parameters(),
            lr=config.policy.optimizer_lr,
            weight_decay=config.policy.optimizer_weight_decay,
            fused=accelerator.device.type in ("cpu", "cuda"),  # a tenth of the step's time, with models this small
        )
        self.streams = {name: np.random.default_rng([config.seed, stream, rank]) for name, stream in STREAMS.items()}
        torch.manual_seed(int(np.random.SeedSequence([config.seed, 3, rank]).generate_state(1)[0]))
        self._aligned = list(self.policy.encoder.parameters())

    def step(self, *, look: bool = False) -> dict[str, float]:
        """Train on one batch; raises NonFiniteLossError before a bad gradient is applied.

        `look` adds the metrics that cost a second solution of the transport problem.
        """
        started = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        metrics = self._clone()
        if self._corpus.pairs is not None:
            metrics |= self._transport(look)
            metrics["train/loss"] += self.config.ot.lambda_ot * metrics["train/ot_loss"]
        self._average_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.policy.grad_clip_norm)
        metrics["train/grad_norm"] = float(norm)
        metrics["train/lr"] = float(self.optimizer.param_groups[0]["lr"])
        if not math.isfinite(metrics["train/loss"]) or not math.isfinite(metrics["train/grad_norm"]):
            raise NonFiniteLossError(metrics)
        self.optimizer.step()
        metrics["train/update_s"] = time.perf_counter() - started
        return metrics

    def _clone(self) -> dict[str, float]:
        """Backward of the behaviour-cloning loss."""
        rows, weights = self._corpus.draw_bc(self.config.batch_size, self.streams["bc"])
        batch = self._corpus.frames.batch(rows)
        with self._accelerator.autocast():
            prediction = self.policy(batch, ask_posterior=True)
        valid = ~batch[IS_PAD][..., None]
        error = (prediction.actions.float() - batch[ACTION]).abs() * valid
        weight = torch.from_numpy(weights).to(error)[:, None, None]
        l1 = (weight * error).sum() / (valid.sum() * error.shape[-1])
        divergence = l1.new_zeros(())
        if prediction.mean is not None and prediction.log_variance is not None:
            divergence = kl_divergence(prediction.mean.float(), prediction.log_variance.float()).mean()
        loss = l1 + self.config.policy.kl_weight * divergence
        loss.backward()
        losses = {"train/loss": loss, "train/l1_loss": l1, "train/kld_loss": divergence}
        return {name: float(value.detach()) for name, value in losses.items()}

    def _transport(self, look: bool) -> dict[str, float]:
        """Backward of lambda times the transport loss, on top of the gradients that are there.

        Without dropout: noise would only add to every squared distance, and would draw from BC's stream.
        """
        self.policy.eval()
        with self._accelerator.autocast():
            found = transport_loss(self._terms(), self.config.ot.loss_config, look=look)
        self.policy.train()
        cloning = [_copy(parameter.grad) for parameter in self._aligned]
        if found.loss.requires_grad and self.config.ot.lambda_ot > 0:
            (self.config.ot.lambda_ot * found.loss).backward()  # type: ignore[no-untyped-call]  # as above
        added = [
            _copy(after.grad) if before is None or after.grad is None else after.grad - before
            for before, after in zip(cloning, self._aligned, strict=True)
        ]
        ratio = _norm(added) / max(_norm(cloning), 1e-12)
        episodes = self._corpus.pairs.source_episodes if self._corpus.pairs else 0.0
        return {**found.metrics, "train/ot_grad_ratio": ratio, "train/ot_src_episodes": episodes}

    def _terms(self) -> list[TermInput]:
        corpus, loss = self._corpus, self.config.ot.loss_config
        if corpus.pairs is None:
            return []
        source, target = corpus.pairs.draw(pairs_per_step(self.config), self.streams["ot"])
        target = target + corpus.target_shift
        embedded: tuple[dict[str, Tensor], ...] = ({}, {})
        if any(feature.embeds for feature in loss.features):
            both = self.policy.embed(corpus.frames.observations(np.concatenate([source, target])))
            embedded = tuple({key: e.float().chunk(2)[side] for key, e in both.items()} for side in (0, 1))
        how = {"chunk": loss.label_steps == "chunk", "normalised": loss.normalize_inputs}
        return [
            TermInput(
                feature=feature,
                embeddings=(embedded[0][feature.src_key], embedded[1][feature.tgt_key]) if feature.embeds else None,
                labels=(
                    corpus.frames.label(feature.src_key, source, **how),
                    corpus.frames.label(feature.tgt_key, target, **how),
                )
                if feature.weight_label
                else None,
            )
            for feature in loss.features
        ]

    def _average_gradients(self) -> None:
        """Mean over processes, done by hand: two backward passes do not suit a wrapper that counts them."""
        if self._accelerator.num_processes > 1:
            gradients = [parameter.grad for parameter in self.policy.parameters() if parameter.grad is not None]
            mean = self._accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
            for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))


STREAMS = {"bc": 1, "ot": 2}


def _copy(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.clone()


def _norm(gradients: Sequence[Tensor | None]) -> float:
    present = [gradient for gradient in gradients if gradient is not None]
    return float(torch.stack(torch._foreach_norm(present)).norm()) if present else 0.0
