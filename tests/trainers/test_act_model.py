"""The policy's shapes and streams of gradient, with a camera."""

import torch

from auto_loop.trainers.act.config import ACTION, IMAGE, STATE, PolicyConfig
from auto_loop.trainers.act.model import IS_PAD, ActPolicy, kl_divergence

SHAPES = {IMAGE: (3, 32, 32), STATE: (4,), ACTION: (4,)}


def batch(count: int = 3, chunk: int = 20) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = {key: torch.randn(count, *shape, generator=generator) for key, shape in SHAPES.items() if key != ACTION}
    held = torch.zeros(count, chunk, dtype=torch.bool)
    held[0, 5:] = True
    return {**values, ACTION: torch.randn(count, chunk, 4, generator=generator), IS_PAD: held}


def test_a_chunk_of_actions_is_predicted_by_a_quarter_million_parameters() -> None:
    policy = ActPolicy(PolicyConfig(), SHAPES)
    assert policy(batch(), ask_posterior=False).actions.shape == (3, 20, 4)
    assert 200_000 < sum(parameter.numel() for parameter in policy.parameters()) < 350_000


def test_embeddings_are_one_vector_a_key_and_reach_the_image_tower() -> None:
    policy = ActPolicy(PolicyConfig(), SHAPES).eval()
    embedded = policy.embed(batch())
    assert {key: tuple(value.shape) for key, value in embedded.items()} == {IMAGE: (3, 64), STATE: (3, 64)}
    embedded[IMAGE].sum().backward()
    assert policy.encoder.image is not None
    gradient = next(policy.encoder.image.parameters()).grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0


def test_what_is_held_past_an_episodes_end_does_not_reach_the_posterior() -> None:
    policy = ActPolicy(PolicyConfig(), SHAPES).eval()
    one, other = batch(), batch()
    other[ACTION][0, 5:] = 99.0
    assert torch.allclose(policy(one, ask_posterior=True).mean, policy(other, ask_posterior=True).mean, atol=1e-6)
    other[ACTION][0, 4] = 99.0
    assert not torch.allclose(policy(one, ask_posterior=True).mean, policy(other, ask_posterior=True).mean, atol=1e-3)


def test_the_latent_is_drawn_in_training_and_zero_otherwise() -> None:
    policy = ActPolicy(PolicyConfig(dropout=0.0), SHAPES)
    given = batch()
    drawn = [policy(given, ask_posterior=True).actions for _ in range(2)]
    assert not torch.equal(*drawn)
    policy.eval()
    assert torch.equal(policy(given, ask_posterior=True).actions, policy(given, ask_posterior=False).actions)


def test_the_divergence_is_zero_at_the_prior_and_known_elsewhere() -> None:
    mean, log_variance = torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)
    assert float(kl_divergence(mean, log_variance)) == 2.0
    assert float(kl_divergence(torch.zeros(1, 2), log_variance)) == 0.0
