"""A small Action Chunking Transformer: observations in, a chunk of actions out (Zhao et al. 2023, arXiv 2304.13705).

A convolutional encoder turns the image into tokens; a transformer encoder mixes them with the state and a latent; a
decoder with one query a step reads a whole chunk of actions. In training, a conditional VAE may supply the latent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own convention
from torch import Tensor, nn

from auto_loop.trainers.act.config import ACTION, ENVIRONMENT_STATE, IMAGE, STATE, PolicyConfig

Batch = Mapping[str, Tensor]
IS_PAD = "action_is_pad"
VECTORS = (STATE, ENVIRONMENT_STATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Actions [batch, chunk, dimensions] in standard deviations, and the VAE's posterior if it was asked."""

    actions: Tensor
    mean: Tensor | None
    log_variance: Tensor | None


class Attention(nn.Module):
    """Multi-head attention from one sequence to another."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """One pre-norm transformer layer; with `cross` it also attends to a memory."""

    def __init__(self, config: PolicyConfig, *, cross: bool = False) -> None:
        super().__init__()
        dim = config.dim_model
        self.attention = Attention(dim, config.n_heads)
        self.cross = Attention(dim, config.n_heads) if cross else None
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3 if cross else 2))
        self.feedforward = nn.Sequential(
            nn.Linear(dim, config.dim_feedforward), nn.ReLU(), nn.Linear(config.dim_feedforward, dim)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        normed = self.norms[0](x)
        x = x + self.dropout(self.attention(normed, normed, mask))
        if self.cross is not None and memory is not None:
            x = x + self.dropout(self.cross(self.norms[1](x), memory))
        out: Tensor = x + self.dropout(self.feedforward(self.norms[-1](x)))
        return out


class Encoder(nn.Module):
    """The observation's encoder, the part that transport aligns: raw observations to tokens by key."""

    def __init__(self, config: PolicyConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        dim = config.dim_model
        self.latent = nn.Linear(config.latent_dim, dim)
        self.vectors = nn.ModuleDict({_slug(key): nn.Linear(shapes[key][0], dim) for key in VECTORS if key in shapes})
        self.spans: dict[str, slice] = {}
        tokens = 1
        for key in VECTORS:
            if key in shapes:
                self.spans[key] = slice(tokens, tokens + 1)
                tokens += 1
        self.image = _image_tower(dim) if IMAGE in shapes else None
        if IMAGE in shapes:
            side = -(-shapes[IMAGE][1] // 8)
            self.spans[IMAGE] = slice(tokens, tokens + side * side)
            tokens += side * side
        self.position = nn.Parameter(torch.randn(tokens, dim) * 0.5)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_encoder_layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, observation: Batch, latent: Tensor) -> Tensor:
        """Tokens [batch, tokens, dim]; `spans` says which belong to which key."""
        parts = [self.latent(latent)[:, None]]
        parts += [self.vectors[_slug(key)](observation[key])[:, None] for key in VECTORS if key in self.spans]
        if self.image is not None:
            parts.append(self.image(observation[IMAGE]).flatten(2).transpose(1, 2))
        x = torch.cat(parts, 1) + self.position
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class Posterior(nn.Module):
    """The VAE's encoder: state and the true chunk to the latent's mean and log variance."""

    def __init__(self, config: PolicyConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        dim = config.dim_model
        self.state, self.action = nn.Linear(shapes[STATE][0], dim), nn.Linear(shapes[ACTION][0], dim)
        self.first = nn.Parameter(torch.randn(1, 1, dim) * 0.5)
        self.position = nn.Parameter(torch.randn(config.chunk_size + 2, dim) * 0.5)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_vae_encoder_layers))
        self.out = nn.Linear(dim, 2 * config.latent_dim)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        count = len(batch[ACTION])
        state, action = self.state(batch[STATE])[:, None], self.action(batch[ACTION])
        x = torch.cat([self.first.expand(count, 1, -1), state, action], 1)
        seen = F.pad(~batch[IS_PAD], (2, 0), value=True)[:, None, None, :]
        x = x + self.position
        for block in self.blocks:
            x = block(x, mask=seen)
        mean, log_variance = self.out(x[:, 0]).chunk(2, -1)
        return mean, log_variance


class ActPolicy(nn.Module):
    """The policy; `shapes` are those of one frame, [channels, side, side] for the image."""

    def __init__(self, config: PolicyConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, shapes)
        self.posterior = Posterior(config, shapes) if config.use_vae else None
        self.queries = nn.Parameter(torch.randn(config.chunk_size, config.dim_model) * 0.5)
        self.decoder = nn.ModuleList(Block(config, cross=True) for _ in range(config.n_decoder_layers))
        self.norm = nn.LayerNorm(config.dim_model)
        self.head = nn.Linear(config.dim_model, shapes[ACTION][0])

    def forward(self, batch: Batch, *, ask_posterior: bool) -> Prediction:
        """Predict from normalised observations; with `ask_posterior` the batch holds the true actions too.

        In training the latent is drawn from the posterior; otherwise it is the prior's mean, which is zero.
        """
        mean = log_variance = None
        latent = self._no_latent(batch)
        if self.posterior is not None and ask_posterior:
            mean, log_variance = self.posterior(batch)
            if self.training:
                latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        memory = self.encoder(batch, latent)
        x = self.queries.expand(len(memory), -1, -1)
        for block in self.decoder:
            x = block(x, memory)
        return Prediction(actions=self.head(self.norm(x)), mean=mean, log_variance=log_variance)

    def embed(self, observation: Batch) -> dict[str, Tensor]:
        """What the policy makes of each key: the mean of its tokens [batch, dim] behind the encoder, latent zero."""
        tokens = self.encoder(observation, self._no_latent(observation))
        return {key: tokens[:, span].mean(1) for key, span in self.encoder.spans.items()}

    def _no_latent(self, batch: Batch) -> Tensor:
        state = batch[STATE]
        return state.new_zeros(len(state), self.config.latent_dim)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of the posterior from the unit normal, summed over the latent, [batch]."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)


def _image_tower(dim: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, dim, 3, stride=2, padding=1),
    )


def _slug(key: str) -> str:
    return key.replace(".", "_")
