"""What "better" is worth: a thousand simulated studies in which nothing is better, judged exactly as the loop judges.

A study: a base, rounds of four candidates, each cell repeated under the same N seeds, paired (correlation 0.7). The
best promising candidate of a round runs against the base again on N fresh seeds, and becomes the base only if that says
"better". Lower is better; a run has the standard deviation 1 or about 1. The figures are those of `docs/effects.md`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from auto_loop.domain.bootstrap import studentised
from auto_loop.domain.effect import Finding, Terms, compare, confirmation_level, screen
from auto_loop.domain.stats import Direction
from auto_loop.domain.student import quantile

STUDIES, CANDIDATES, SHARED = 1000, 4, 0.7
ALLOWED = 0.05 + 3 * math.sqrt(0.05 * 0.95 / STUDIES)
TERMS = Terms(direction=Direction.LOWER, paired=True, level=0.95)

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "skewed": lambda random, shape: random.exponential(size=shape) - 1,
    "heavy": lambda random, shape: (np.exp(random.normal(size=shape)) - math.exp(0.5)) / 2.16,
    "few values": lambda random, shape: (random.binomial(10, 0.5, shape) - 5) / 1.58,  # successes of ten episodes
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a study goes. The defaults are the loop's; what a test changes is what it shows to matter.

    `gain`: what each round's first candidate truly gains. `always`: the best candidate is confirmed, promising or not.
    `fresh`: on fresh seeds, not by the runs that it was chosen for. `spend`: each confirmation at a level of its own.
    """

    n: int
    rounds: int = 3
    gain: float = 0.0
    always: bool = False
    fresh: bool = True
    spend: bool = True
    terms: Terms = TERMS


def cells(random: np.random.Generator, noise: Noise, levels: list[float], n: int) -> list[dict[int, float]]:
    """One cell around each of the levels: a part of the noise is the seed's, shared by all cells, a part the run's."""
    shared = math.sqrt(SHARED) * noise(random, (1, n))
    own = math.sqrt(1 - SHARED) * noise(random, (len(levels), n))
    return [dict(enumerate(row)) for row in (np.array(levels)[:, None] + shared + own).tolist()]


def called_better(random: np.random.Generator, noise: Noise, plan: Plan) -> int:
    """How many candidates one study calls better."""
    found = confirmations = 0
    levels = [0.0, -plan.gain, *[0.0] * (CANDIDATES - 1)]
    for _ in range(plan.rounds):
        base, *candidates = cells(random, noise, levels, plan.n)
        promising = [i for i, cell in enumerate(candidates) if plan.always or screen(cell, base, plan.terms)]
        if not promising:
            continue
        best = min(promising, key=lambda i: sum(candidates[i].values()))
        confirmations += 1
        winner = candidates[best]
        if plan.fresh:
            base, winner = cells(random, noise, [levels[0], levels[1 + best]], plan.n)
        level = confirmation_level(confirmations if plan.spend else 1)
        found += compare(winner, base, replace(plan.terms, level=level)).finding is Finding.BETTER
    return found


def share_with_a_better(noise: str, plan: Plan) -> float:
    """The share of studies that call at least one candidate better."""
    random = np.random.default_rng([plan.n, *noise.encode()])
    return sum(called_better(random, NOISES[noise], plan) > 0 for _ in range(STUDIES)) / STUDIES


@pytest.mark.parametrize(
    ("noise", "n"), [*((noise, n) for noise in NOISES for n in (3, 5)), ("normal", 12), ("skewed", 12)]
)
def test_of_null_studies_at_most_one_in_twenty_holds_a_false_better(noise, n):
    assert share_with_a_better(noise, Plan(n=n)) <= ALLOWED


@pytest.mark.parametrize("noise", NOISES)
def test_it_holds_however_many_are_confirmed(noise):
    assert share_with_a_better(noise, Plan(n=5, rounds=12, always=True)) <= ALLOWED


def test_it_holds_where_the_trainer_does_not_pair_its_streams():
    assert share_with_a_better("normal", Plan(n=5, terms=replace(TERMS, paired=False), always=True)) <= ALLOWED


def test_the_runs_that_a_candidate_was_chosen_for_would_break_it():
    assert share_with_a_better("normal", Plan(n=5, fresh=False)) > 1.5 * ALLOWED


def test_confirmations_that_are_all_held_to_95_per_cent_would_break_it():
    assert share_with_a_better("normal", Plan(n=5, rounds=12, always=True, spend=False)) > 2 * ALLOWED


@pytest.mark.parametrize(("n", "gain", "share"), [(3, 2.0, 0.7), (5, 2.0, 0.95), (5, 1.0, 0.5)])
def test_what_is_truly_better_is_found(n, gain, share):
    assert share_with_a_better("normal", Plan(n=n, gain=gain)) >= share


DIFFERENCES: dict[str, Noise] = {
    "one long tail": lambda random, shape: random.exponential(size=shape) - 1,
    "two long tails": lambda random, shape: np.exp(random.normal(size=shape)) - np.exp(random.normal(size=shape)),
}


def false_alarms(shape: str, pairs: int = 12, tried: int = 3000) -> dict[str, float]:
    """How often a 95 % interval lies below 0 by mistake (2.5 % are allowed), by each way and by the wider of both."""
    values = DIFFERENCES[shape](np.random.default_rng(1), (tried, pairs))
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=1)
    lowest = np.array([studentised(row, 0.95, draws=2000, seed=0)[0] for row in (values - mean[:, None]) / sd[:, None]])
    reach = -mean / (sd / math.sqrt(pairs))
    t = quantile(0.975, pairs - 1)
    beyond = {"t": t, "bootstrap": -lowest, "wider": np.maximum(t, -lowest)}
    return {way: float((reach > bar).mean()) for way, bar in beyond.items()}


def test_from_ten_pairs_on_neither_way_will_do_alone():
    one, two = false_alarms("one long tail"), false_alarms("two long tails")
    assert one["t"] > 0.075 > 0.055 > one["wider"], one
    assert two["bootstrap"] > 0.035 > 0.025 > two["wider"], two
