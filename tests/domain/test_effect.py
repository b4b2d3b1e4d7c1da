"""Effects by example, by law, and fed with garbage."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.bootstrap import _resamples
from auto_loop.domain.effect import (
    Finding,
    Method,
    Terms,
    compare,
    confirmation_level,
    in_words,
    screen,
    smallest_detectable,
    spent,
)
from auto_loop.domain.stats import Direction

PAIRED = Terms(direction=Direction.LOWER, paired=True, level=0.95)
WELCH = replace(PAIRED, paired=False)

# Student's sleep data (Biometrika 6, 1908): hours gained by the same ten patients under two drugs.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
BASE = {1: 0.50, 2: 0.62, 3: 0.41, 4: 0.55, 5: 0.58}
BY = {1: -0.021, 2: -0.030, 3: -0.018, 4: -0.025, 5: -0.027}

DRAWN_0 = [[8, 0, 1, 1, 2, 3, 5, 7, 4, 2], [4, 9, 3, 7, 9, 7, 5, 5, 7, 8]]

any_float = st.floats(allow_nan=True, allow_infinity=True)
runs = st.dictionaries(st.integers(0, 14), any_float, max_size=14)
tame = st.dictionaries(st.integers(0, 14), st.floats(-100, 100), max_size=14)
terms = st.builds(
    Terms,
    direction=st.sampled_from(Direction),
    paired=st.booleans(),
    level=st.floats(0.5, 0.9999),
    min_difference=st.floats(0, 10),
    draws=st.just(200),
)


def moved(by=BY):
    return {seed: BASE[seed] + step for seed, step in by.items()}


def test_the_paired_t_of_students_sleep_data():
    """R's t.test(paired = TRUE) gives −2.4598858 to −0.7001142 for all ten; here for nine, below the bootstrap."""
    nine = {seed: FIRST[seed] for seed in range(9)}
    effect = compare(nine, SECOND, PAIRED)
    differences = [FIRST[seed] - SECOND[seed] for seed in range(9)]
    mean = sum(differences) / 9
    half = 2.306004 * math.sqrt(sum((d - mean) ** 2 for d in differences) / 8) / 3
    assert (effect.method, effect.pairs, effect.n_candidate, effect.n_base) == (Method.PAIRED_T, 9, 9, 10)
    assert (effect.low, effect.high) == (pytest.approx(mean - half, rel=1e-6), pytest.approx(mean + half, rel=1e-6))


def test_welchs_t_of_students_sleep_data():
    """R's t.test gives df 17.776 and −3.3654832 to 0.2054832: ours takes df 17 and is a little wider."""
    effect = compare(FIRST, SECOND, WELCH)
    assert (effect.method, effect.pairs, effect.estimate) == (Method.WELCH_T, 0, pytest.approx(-1.58))
    assert -3.3720 < effect.low < -3.3655
    assert 0.2055 < effect.high < 0.2120
    assert effect.finding is Finding.NONE


def test_ten_pairs_take_the_bootstrap_never_narrower_than_the_paired_t():
    effect = compare(FIRST, SECOND, replace(PAIRED, direction=Direction.HIGHER))
    assert (effect.method, effect.pairs, effect.finding) == (Method.PAIRED_BOOTSTRAP, 10, Finding.WORSE)
    assert effect.low <= -2.4598857
    assert effect.high >= -0.7001143
    assert effect.low < -2.6, "the ninth patient's 4.6 hours pull the lower end out further than a t would"


def test_below_ten_pairs_there_is_no_bootstrap_whatever_is_asked_for():
    with pytest.raises(ValueError, match="10 pairs"):
        replace(PAIRED, bootstrap_from=9)


@pytest.mark.parametrize(
    ("direction", "finding"),
    [
        (Direction.LOWER, Finding.BETTER),
        (Direction.HIGHER, Finding.WORSE),
        (Direction.NONE, Finding.UNKNOWN),
    ],
)
def test_the_direction_says_which_side_is_good(direction, finding):
    effect = compare(moved(), BASE, replace(PAIRED, direction=direction))
    assert effect.finding is finding
    assert effect.low < effect.estimate < effect.high < 0


def test_the_whole_interval_must_lie_on_one_side():
    assert compare(moved({**BY, 5: 0.09}), BASE, PAIRED).finding is Finding.NONE


def test_a_difference_too_small_to_matter_is_neither_better_nor_worse():
    for direction in (Direction.LOWER, Direction.HIGHER):
        asked = replace(PAIRED, direction=direction, min_difference=0.03)
        effect = compare(moved(), BASE, asked)
        assert effect.finding is Finding.NONE
        assert in_words(effect).endswith("too small to matter")


@pytest.mark.parametrize("asked", [PAIRED, WELCH])
@pytest.mark.parametrize("candidate", [{}, {1: 0.1}, {1: math.nan, 2: math.inf}, {1: 0.1, 2: math.nan}])
def test_too_few_runs_say_nothing(candidate, asked):
    effect = compare(candidate, BASE, asked)
    assert (effect.finding, effect.low, effect.high) == (Finding.UNKNOWN, None, None)
    assert in_words(effect).startswith("unknown")


def test_only_seeds_that_both_have_are_pairs():
    effect = compare({1: 0.1, 2: 0.2, 7: 9.0}, {2: 0.3, 1: 0.25, 8: -9.0}, PAIRED)
    assert (effect.pairs, effect.estimate) == (2, pytest.approx(-0.125))


def test_a_run_without_a_number_takes_its_pair_along():
    effect = compare({**moved(), 3: math.nan}, {**BASE, 5: -math.inf}, PAIRED)
    assert (effect.pairs, effect.n_candidate, effect.n_base, effect.lost) == (3, 4, 4, 0)
    assert effect.estimate == pytest.approx((BY[1] + BY[2] + BY[4]) / 3)
    assert effect.finding is Finding.BETTER


@pytest.mark.parametrize("asked", [PAIRED, WELCH])
def test_a_candidate_that_diverges_where_the_base_does_not_is_not_better_for_its_survivors(asked):
    far = {seed: value - 10 + BY[seed] for seed, value in BASE.items()}
    assert compare(far, BASE, asked).finding is Finding.BETTER
    effect = compare({**far, 3: math.nan}, BASE, asked)
    assert (effect.finding, effect.lost) == (Finding.UNKNOWN, 1)
    assert in_words(effect).endswith("): unknown, as 1 more of its runs than of the base's came to no number")
    assert compare({**far, 3: math.nan}, BASE, replace(asked, direction=Direction.HIGHER)).finding is Finding.WORSE
    missing = {seed: value for seed, value in far.items() if seed != 3}
    assert compare(missing, BASE, asked).finding is Finding.BETTER, "a run that is not there yet was not lost"


@pytest.mark.parametrize("by", [0.0, -0.3, 0.3, -1e-9, -1e9])
@pytest.mark.parametrize("asked", [PAIRED, WELCH])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_a_trainer_that_seeds_do_not_change_proves_nothing(by, asked, n):
    base = dict.fromkeys(range(n), 0.7)
    effect = compare({seed: value + by for seed, value in base.items()}, base, asked)
    assert (effect.finding, effect.low) == (Finding.UNKNOWN, None)
    assert effect.estimate == pytest.approx(by, abs=1e-12)
    assert "without a measurable spread" in in_words(effect)


def test_equal_differences_prove_nothing_even_if_the_runs_differ():
    """The rounding of floats would make a t of a million out of them."""
    for n in (2, 5, 12):
        base = {seed: 0.1 + 0.07 * seed for seed in range(n)}
        candidate = {seed: value - 0.3 for seed, value in base.items()}
        assert compare(candidate, base, PAIRED).finding is Finding.UNKNOWN


def test_one_side_without_spread_proves_nothing_unpaired():
    """Three runs of a success rate of 0 are no certainty."""
    assert compare({1: 0.0, 2: 0.0, 3: 0.0}, BASE, WELCH).finding is Finding.UNKNOWN


def test_an_interval_does_not_depend_on_the_order_of_the_runs():
    backwards = dict(reversed(FIRST.items()))
    assert compare(backwards, SECOND, PAIRED) == compare(FIRST, SECOND, PAIRED)


def test_the_bootstraps_draws_are_the_same_for_ever():
    """A replayed study decides again as it did: these numbers may not change with a version of anything."""
    assert _resamples(10, 2, 0).T.tolist() == DRAWN_0
    assert _resamples(10, 1, 2**64 + 7).tolist() == _resamples(10, 1, 7).tolist()
    counts = [(_resamples(10, 2000, 3) == i).mean() for i in range(10)]
    assert max(counts) - min(counts) < 0.012


def test_a_level_finer_than_the_draws_still_gives_an_interval():
    effect = compare(FIRST, SECOND, replace(PAIRED, level=confirmation_level(100), draws=50))
    assert effect.low < -5
    assert math.isfinite(effect.low)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95, math.nan])
def test_levels_that_are_none_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        replace(PAIRED, level=level)


@pytest.mark.parametrize("smallest", [-0.1, math.nan])
def test_smallest_differences_that_are_none_are_refused(smallest):
    with pytest.raises(ValueError, match="0 or more"):
        replace(PAIRED, min_difference=smallest)


@given(runs, runs, terms)
def test_whatever_the_runs_hold_the_effect_is_whole(candidate, base, asked):
    effect = compare(candidate, base, asked)
    assert (effect.low is None) is (effect.high is None)
    if effect.low is None:
        assert effect.finding is Finding.UNKNOWN
    else:
        assert effect.low <= effect.estimate <= effect.high
        assert effect.pairs > 1 or effect.method is Method.WELCH_T
        assert effect.finding is not Finding.UNKNOWN or asked.direction is Direction.NONE or effect.lost
        assert effect.finding is not Finding.BETTER or not effect.lost
    json.dumps([effect.estimate, effect.low, effect.high], allow_nan=False)
    assert in_words(effect, "loss").startswith("loss: ")


@given(tame, tame, terms)
def test_swapping_the_sides_mirrors_the_effect(candidate, base, asked):
    here, there = compare(candidate, base, asked), compare(base, candidate, asked)
    if here.low is not None:
        assert (here.low, here.high) == (pytest.approx(-there.high), pytest.approx(-there.low))
    assert (here.finding is Finding.BETTER) is (there.finding is Finding.WORSE)  # all of `tame` is finite


@given(tame, tame, terms)
def test_a_stricter_level_never_finds_more(candidate, base, asked):
    loose, strict = compare(candidate, base, replace(asked, level=0.8)), compare(candidate, base, asked)
    if asked.level >= 0.8 and strict.finding in (Finding.BETTER, Finding.WORSE):
        assert loose.finding is strict.finding
    assert screen(candidate, base, asked) is (loose.finding is Finding.BETTER)


def test_the_risks_of_all_confirmations_sum_to_alpha():
    risks = [spent(k) for k in range(1, 20_001)]
    assert 0.04999 < math.fsum(risks) <= 0.05
    assert risks == sorted(risks, reverse=True)
    assert spent(3, alpha=0.1) == pytest.approx(0.1 / 12)
    with pytest.raises(ValueError, match="from 1 on"):
        spent(0)


def test_the_first_confirmation_is_the_usual_interval():
    assert [round(100 * confirmation_level(k), 2) for k in (1, 2, 3, 4)] == [95.0, 98.33, 99.17, 99.5]


def test_smallest_detectable_is_half_the_interval():
    effect = compare(moved(), BASE, PAIRED)
    by = list(BY.values())
    sd = math.sqrt(sum((d - sum(by) / 5) ** 2 for d in by) / 4)
    assert smallest_detectable(sd, 5, 0.95) == pytest.approx((effect.high - effect.low) / 2)
    assert smallest_detectable(1.0, 1, 0.95) == math.inf


def test_in_words():
    assert in_words(compare(moved(), BASE, PAIRED), "eval/l1") == (
        "eval/l1: 0.0242 lower (95 % interval −0.0301 to −0.0183, paired t, 5 pairs): better"
    )
    assert in_words(compare(moved({**BY, 5: 0.09}), BASE, PAIRED)) == (
        "no detectable effect (95 % interval −0.0641 to 0.0625, paired t, 5 pairs;"
        " a difference below 0.0633 could not have been seen)"
    )
    assert in_words(compare({1: 0.4}, BASE, PAIRED)) == "unknown: one pair only"
    assert in_words(compare({9: 0.4}, BASE, PAIRED)) == "unknown: no seed that both were run under"
    assert in_words(compare({1: 0.4}, BASE, WELCH)) == "unknown: 1 against 5 runs, and two are needed on each side"
    undirected = compare(moved(), BASE, replace(PAIRED, direction=Direction.NONE, level=confirmation_level(3)))
    assert in_words(undirected).startswith("0.0242 lower (99.17 % interval −0.03")
    assert in_words(undirected).endswith(": unknown, as the metric has no direction")


ROW = re.compile(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)
DETECTABLE = ROW.findall((Path(__file__).parents[2] / "docs" / "effects.md").read_text())


def test_the_table_of_what_can_be_detected_is_true():
    assert [int(n) for n, *_ in DETECTABLE] == [2, 3, 5, 8, 10, 12]
    for n, half, *_ in DETECTABLE:
        assert float(half) == round(smallest_detectable(1.0, int(n), confirmation_level(1)), 2)


def test_the_tables_true_gains_are_found_four_times_in_five():
    stats = pytest.importorskip("scipy.stats", reason="the noncentral t is needed for this table alone")
    for n, _, first, third in DETECTABLE:
        for k, gain in ((1, first), (3, third)):
            bar = smallest_detectable(1.0, int(n), confirmation_level(k)) * math.sqrt(int(n))
            found = stats.nct.sf(bar, int(n) - 1, float(gain) * math.sqrt(int(n)))
            assert found == pytest.approx(0.8, abs=0.006)
