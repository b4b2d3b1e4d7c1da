"""The noise floor, the track record's "improved", and the interval of a share."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.effect import Terms
from auto_loop.domain.noise import NoiseFloor, improved, interval_of_share, noise_floor
from auto_loop.domain.stats import Direction

TERMS = Terms(direction=Direction.LOWER, paired=True, level=0.95)
NO_FLOOR = noise_floor([], paired=True)
cells = st.lists(
    st.dictionaries(st.integers(0, 5), st.floats(allow_nan=True, allow_infinity=True), max_size=6), max_size=8
)


def simulated(cells, seeds, *, noise, shared, random):
    """Cells whose runs share a seed's noise (`shared`, a standard deviation) and have some of their own (`noise`)."""
    common = random.normal(0, shared, seeds)
    table = random.normal(0, 1, (cells, 1)) + common + random.normal(0, noise, (cells, seeds))
    return [dict(enumerate(row)) for row in table.tolist()]


def test_the_floor_pools_the_spread_within_cells_and_not_between_them():
    floor = noise_floor([{1: 1.0, 2: 3.0}, {1: 100.0, 2: 100.0 + 2, 3: 100.0 + 4}, {7: 5.0}], paired=False)
    assert floor == NoiseFloor(sd=pytest.approx(math.sqrt((2 + 8) / 3)), df=3, cells=2)


def test_of_two_cells_the_paired_floor_is_the_spread_of_their_differences():
    one, other = {1: 0.5, 2: 0.9, 3: 0.1}, {1: 0.6, 2: 0.8, 3: 0.4}
    floor = noise_floor([one, other], paired=True)
    assert floor.paired_sd == pytest.approx(np.std([one[seed] - other[seed] for seed in one], ddof=1))
    assert (floor.paired_df, floor.df) == (2, 4)


def test_both_floors_find_the_noise_that_was_put_in():
    random = np.random.default_rng(5)
    first = simulated(60, 4, noise=0.3, shared=0.4, random=random)
    second = [
        {seed + 10: value for seed, value in cell.items()}
        for cell in simulated(60, 5, noise=0.3, shared=0.4, random=random)
    ]
    floor = noise_floor(first + second, paired=True)
    assert floor.paired_df == 59 * 3 + 59 * 4
    assert floor.paired_sd == pytest.approx(0.3 * math.sqrt(2), rel=0.08)
    assert floor.sd == pytest.approx(0.5, rel=0.35), "few seeds carry the shared part, so it is known less well"


def test_unpaired_streams_have_no_paired_floor():
    assert noise_floor([{1: 1.0, 2: 3.0}, {1: 1.0, 2: 4.0}], paired=False).paired_sd is None


@pytest.mark.parametrize("silent", [{1: 0.3, 2: 0.3, 3: 0.3}, {1: 0.0, 2: 0.0}, {1: 5.0}, {1: math.nan, 2: 1.0}, {}])
def test_cells_that_show_no_noise_do_not_lower_the_floor(silent):
    loud = {1: 1.0, 2: 3.0}
    assert noise_floor([loud, silent, silent], paired=True) == noise_floor([loud], paired=True)
    assert noise_floor([silent, silent], paired=True) == NO_FLOOR == NoiseFloor(sd=None, df=0, cells=0)


def test_cells_that_differ_by_a_constant_have_no_paired_floor():
    cell = {1: 0.1, 2: 0.7, 3: 0.3}
    floor = noise_floor([cell, {seed: value + 0.3 for seed, value in cell.items()}], paired=True)
    assert floor.paired_sd is None
    assert floor.sd is not None


@given(cells, st.booleans())
def test_whatever_the_cells_hold_the_floor_is_a_number_above_zero_or_none(held, paired):
    floor = noise_floor(held, paired=paired)
    for sd, df in ((floor.sd, floor.df), (floor.paired_sd, floor.paired_df)):
        assert (sd is None and df == 0) or (0 < sd < math.inf and df > 0)
    assert improved({1: 0.0}, {1: 1.0}, floor, replace(TERMS, paired=paired)) in (True, False, None)


def test_with_pairs_the_interval_decides_at_90_per_cent():
    base = {1: 0.50, 2: 0.62, 3: 0.41}
    better = {1: 0.48, 2: 0.59, 3: 0.393}
    assert improved(better, base, NO_FLOOR, TERMS) is True
    assert improved(base, better, NO_FLOOR, TERMS) is False
    assert improved({1: 0.4, 2: 0.7, 3: 0.42}, base, NO_FLOOR, TERMS) is False
    wide_floor = NoiseFloor(sd=100.0, df=50, cells=50, paired_sd=100.0, paired_df=50)
    assert improved(better, base, wide_floor, TERMS) is True, "runs that carry an interval need no floor"


def test_with_one_pair_the_paired_floor_decides():
    floor = NoiseFloor(sd=10.0, df=10, cells=5, paired_sd=0.1, paired_df=10)
    bar = 1.812461 * 0.1  # t(0.95, df 10)
    assert improved({1: 1 - bar - 1e-6}, {1: 1.0}, floor, TERMS) is True
    assert improved({1: 1 - bar + 1e-6}, {1: 1.0}, floor, TERMS) is False
    assert improved({1: 1 + bar + 1e-6}, {1: 1.0}, floor, TERMS) is False
    assert improved({1: 1 + bar + 1e-6}, {1: 1.0}, floor, replace(TERMS, direction=Direction.HIGHER)) is True


def test_with_one_run_each_under_other_seeds_the_unpaired_floor_decides():
    floor = NoiseFloor(sd=0.1, df=10, cells=5, paired_sd=1e-9, paired_df=10)
    bar = 1.812461 * 0.1 * math.sqrt(2)
    assert improved({1: 1 - bar - 1e-6}, {2: 1.0}, floor, TERMS) is True
    assert improved({1: 1 - bar + 1e-6}, {2: 1.0}, floor, TERMS) is False
    one_against_four = 1.812461 * 0.1 * math.sqrt(1 + 1 / 4)
    base = dict.fromkeys(range(2, 6), 1.0)
    assert improved({1: 1 - one_against_four - 1e-6}, base, floor, replace(TERMS, paired=False)) is True
    assert improved({1: 1 - one_against_four + 1e-6}, base, floor, replace(TERMS, paired=False)) is False


def test_a_gain_below_the_smallest_that_matters_is_none():
    floor = NoiseFloor(sd=0.001, df=10, cells=5, paired_sd=0.001, paired_df=10)
    assert improved({1: 0.95}, {1: 1.0}, floor, replace(TERMS, min_difference=0.06)) is False


def test_nothing_can_be_said_without_a_floor_a_direction_or_a_spread():
    floor = NoiseFloor(sd=0.1, df=10, cells=5, paired_sd=0.1, paired_df=10)
    assert improved({1: 0.0}, {1: 1.0}, NO_FLOOR, TERMS) is None
    assert improved({1: math.nan}, {1: math.nan}, floor, TERMS) is None
    assert improved({}, {}, floor, TERMS) is None
    assert improved({1: 0.0}, {1: 1.0}, floor, replace(TERMS, direction=Direction.NONE)) is None
    assert improved({1: 0.0, 2: 0.0}, {1: 1.0, 2: 1.0}, floor, TERMS) is None, "two equal runs are no evidence"


def test_a_proposal_that_diverged_has_not_improved_its_base():
    """Left out, it would never count against the rule that made it."""
    assert improved({1: math.nan}, {1: 1.0}, NO_FLOOR, TERMS) is False
    assert improved({1: 0.1, 2: 0.2, 3: math.inf}, {1: 9.0, 2: 9.2, 3: 9.1}, NO_FLOOR, TERMS) is False


def test_wilsons_interval():
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    for successes, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert interval_of_share(successes, trials, 0.95) == (
            pytest.approx(low, abs=5e-5),
            pytest.approx(high, abs=5e-5),
        )
    assert interval_of_share(0, 0) == (0.0, 1.0)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.01, 0.9999))
def test_a_share_lies_within_its_interval(one, other, level):
    successes, trials = min(one, other), max(one, other)
    low, high = interval_of_share(successes, trials, level)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-12 <= successes / trials <= high + 1e-12


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3)])
def test_shares_that_cannot_be_are_refused(successes, trials):
    with pytest.raises(ValueError, match="cannot be"):
        interval_of_share(successes, trials)
