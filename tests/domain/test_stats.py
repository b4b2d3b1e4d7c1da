"""A metric's statistics, by example and by law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.series import Series, Source, series_of
from auto_loop.domain.stats import Direction, describe, summarise, usual_direction

any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)
points = st.lists(st.tuples(st.integers(-(2**40), 2**40), any_float), max_size=40)


def made(values, source=Source.MIRROR) -> Series:
    return series_of("loss", list(range(0, 10 * len(values), 10)), values, source)


def test_first_last_best_delta_percent_of_a_falling_loss():
    stats = describe(made([4.0, 1.0, 3.0]), Direction.LOWER)
    assert (stats.first, stats.last, stats.best, stats.best_step) == (4.0, 3.0, 1.0, 10)
    assert (stats.delta, stats.pct, stats.n, stats.nan_count) == (-1.0, -25.0, 3, 0)
    assert stats.source is Source.MIRROR


def test_best_of_a_rising_metric_is_the_first_step_that_reached_it():
    assert describe(made([1.0, 5.0, 5.0]), Direction.HIGHER).best_step == 10


def test_a_metric_without_direction_has_no_best():
    stats = describe(made([1.0, 5.0]), Direction.NONE)
    assert (stats.best, stats.best_step, stats.delta) == (None, None, 4.0)


def test_non_finite_values_are_counted_and_never_averaged_away():
    stats = describe(made([math.nan, 2.0, math.inf, 1.0, -math.inf]), Direction.LOWER)
    assert (stats.first, stats.last, stats.n, stats.nan_count) == (2.0, 1.0, 2, 3)
    assert (stats.best, stats.best_step) == (1.0, 30)


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.inf]])
def test_nothing_finite_says_nothing(values):
    stats = describe(made(values), Direction.LOWER)
    assert (stats.first, stats.last, stats.best, stats.best_step, stats.delta, stats.pct) == (None,) * 6
    assert (stats.n, stats.nan_count) == (0, len(values))


def test_percent_is_null_when_first_is_zero_and_relative_to_its_size_when_negative():
    assert describe(made([0.0, 1.0]), Direction.NONE).pct is None
    assert describe(made([-2.0, -1.0]), Direction.NONE).pct == 50.0


def test_one_point_shows_no_change():
    stats = describe(made([3.0]), Direction.LOWER)
    assert (stats.first, stats.last, stats.best, stats.delta, stats.pct) == (3.0, 3.0, 3.0, None, None)


def test_a_change_beyond_a_float_is_not_known():
    stats = describe(made([-1.7e308, 1.7e308]), Direction.LOWER)
    assert (stats.delta, stats.pct) == (None, None)


def test_final_only_has_last_alone():
    stats = describe(made([3.0], Source.FINAL_ONLY), Direction.LOWER)
    assert stats.last == 3.0
    assert (stats.first, stats.best, stats.best_step, stats.delta, stats.pct) == (None,) * 5
    assert (stats.n, stats.nan_count, stats.source) == (1, 0, Source.FINAL_ONLY)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("train/loss", Direction.LOWER),
        ("eval/offline_eval/avg_l1", Direction.LOWER),
        ("train/grad_norm", Direction.LOWER),
        ("train/ot_cost/action", Direction.LOWER),
        ("error_rate", Direction.LOWER),
        ("loss/accuracy", Direction.HIGHER),
        ("eval/success_rate", Direction.HIGHER),
        ("episode.return", Direction.HIGHER),
        ("train/ot_pi_sum", Direction.NONE),
        ("lr", Direction.NONE),
        ("glossary", Direction.NONE),
        ("", Direction.NONE),
    ],
)
def test_usual_names_tell_their_direction(name, direction):
    assert usual_direction(name) is direction


def test_summarise_asks_for_each_direction_and_sorts():
    series = {"b": made([1.0, 2.0]), "a": made([1.0, 2.0])}
    stats = summarise(series, lambda name: Direction.HIGHER if name == "a" else Direction.LOWER)
    assert list(stats) == ["a", "b"]
    assert (stats["a"].best, stats["b"].best) == (2.0, 1.0)


@given(points, st.sampled_from(Direction), st.randoms(use_true_random=False))
def test_the_order_in_which_points_are_written_does_not_matter(pairs, direction, rng):
    pairs = list(dict(pairs).items())  # one value a step: of two, the later written one wins
    shuffled = rng.sample(pairs, len(pairs))
    once, again = (
        describe(series_of("m", [s for s, _ in p], [v for _, v in p], Source.WANDB), direction)
        for p in (pairs, shuffled)
    )
    assert once == again


@given(points)
def test_counts_add_up_and_best_bounds_all(pairs):
    series = series_of("m", [s for s, _ in pairs], [v for _, v in pairs], Source.WANDB)
    assert np.all(np.diff(series.steps) > 0)
    assert len(series.steps) == len({step for step, _ in pairs})
    low, high = describe(series, Direction.LOWER), describe(series, Direction.HIGHER)
    assert low.n + low.nan_count == len(series.steps)
    for step, value in zip(series.steps, series.values, strict=True):
        if math.isfinite(value):
            assert low.best <= value <= high.best
            assert not (value == low.best and step < low.best_step)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 20), st.sampled_from(Direction))
def test_a_constant_series_does_not_change(value, length, direction):
    stats = describe(made([value] * length), direction)
    assert (stats.first, stats.last, stats.delta) == (value, value, 0.0)
    assert stats.pct == (None if value == 0 else 0.0)
    assert stats.best == (None if direction is Direction.NONE else value)


@given(points)
def test_the_later_point_of_one_step_wins(pairs):
    series = series_of("m", [s for s, _ in pairs], [v for _, v in pairs], Source.WANDB)
    expected = dict(pairs)
    np.testing.assert_array_equal(series.values, [expected[step] for step in series.steps.tolist()])


def test_steps_and_values_of_different_length_are_a_mistake():
    with pytest.raises(ValueError, match="loss"):
        series_of("loss", [1, 2], [1.0], Source.WANDB)
