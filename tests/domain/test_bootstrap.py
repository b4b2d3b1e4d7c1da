"""The studentised bootstrap, against the same thing written out with loops, and where draws have no spread."""

import math
import statistics

import numpy as np
import pytest

from auto_loop.domain.bootstrap import _resamples, studentised


def standardised(values):
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    return [(value - mean) / sd for value in values]


def written_out(values, level, draws, seed):
    """Draw by draw: the mean in standard errors of the draw itself; of 399 at 90 % the 20th from either end."""
    found = []
    for column in range(draws):
        drawn = [values[row[column]] for row in _resamples(len(values), draws, seed)]
        if statistics.pstdev(drawn) > 1e-7:
            found.append(statistics.fmean(drawn) / (statistics.stdev(drawn) / math.sqrt(len(drawn))))
    outside = math.floor((len(found) + 1) * (1 - level) / 2)
    return sorted(found)[outside - 1], sorted(found)[-outside]


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_it_is_what_is_written_out(level):
    values = standardised([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0, 9.0])
    assert studentised(values, level, draws=399, seed=4) == pytest.approx(written_out(values, level, 399, 4), rel=1e-12)


def test_draws_without_a_spread_are_left_out():
    """Of nine equal values and another one, a third of all draws hold the nine alone: they have no t at all."""
    values = standardised([0.0] * 9 + [1.0])
    low, high = studentised(values, 0.95, draws=399, seed=0)
    assert (low, high) == pytest.approx(written_out(values, 0.95, 399, 0), rel=1e-9)
    assert -math.inf < low < 0 < high < math.inf


def test_nothing_but_such_draws_bounds_nothing():
    assert studentised([0.0] * 10, 0.95, draws=10, seed=0) == (-math.inf, math.inf)


def test_for_normal_values_it_comes_near_students_t():
    random = np.random.default_rng(2)
    highest = [
        studentised(standardised(random.normal(size=40).tolist()), 0.95, draws=2000, seed=0)[1] for _ in range(60)
    ]
    assert statistics.fmean(highest) == pytest.approx(2.0227, rel=0.05)  # t(0.975, df 39)
