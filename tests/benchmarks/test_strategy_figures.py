import math

import numpy as np
import pytest

from auto_loop.domain.effect import Finding
from benchmarks.strategy_design import Arm
from benchmarks.strategy_summary import Entry, Interval, against, row_of, summary
from benchmarks.strategy_survival import Time, curve, median, restricted_mean
from tests.benchmarks.searches import DESIGN, job, search

# Weeks of remission under 6-MP (Freireich 1963, 21 patients), the usual example of books on survival.
REMISSION = [
    *(Time(at=at, reached=True) for at in (6, 6, 6, 7, 10, 13, 16, 22, 23)),
    *(Time(at=at, reached=False) for at in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)),
]


def test_the_curve_of_a_known_example():
    steps = {step.at: step for step in curve(REMISSION)}
    shares = [round(steps[at].share, 3) for at in (6, 7, 10, 13, 16, 22, 23)]
    assert shares == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert (steps[6].low, steps[6].high) == pytest.approx((0.620, 0.952), abs=5e-4)
    assert (steps[10].low, steps[10].high) == pytest.approx((0.503, 0.889), abs=5e-4)


def test_the_median_of_a_known_example():
    found = median(REMISSION)
    assert (found.value, found.low, found.high) == (23, 13, math.inf)


def test_what_was_never_reached_has_no_median_and_the_whole_budget_as_its_mean():
    never = [Time(at=2.0, reached=False)] * 5
    assert median(never).value == math.inf
    assert restricted_mean(never, 2.0) == pytest.approx(2.0)


def test_without_censoring_before_the_end_the_restricted_mean_is_the_plain_one():
    times = [
        Time(at=0.5, reached=True),
        Time(at=1.5, reached=True),
        Time(at=1.5, reached=True),
        Time(at=2.0, reached=False),
    ]
    assert restricted_mean(times, 2.0) == pytest.approx(np.mean([0.5, 1.5, 1.5, 2.0]))


def test_an_interval_is_student_s():
    values = [0.1, 0.2, 0.4]
    half = (
        4.302652729911275 * np.std(values, ddof=1) / math.sqrt(3)
    )  # t of 97.5 % with 2 degrees of freedom, from tables
    found = Interval.of(values)
    assert (found.low, found.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_one_repeat_has_no_interval():
    assert Interval.of([0.2]).text(3) == "0.200"
    assert Interval.of([]).text(3) == "–"


def test_a_difference_is_paired_and_said_only_with_its_interval():
    ours, theirs = [0.20, 0.30, 0.40, 0.50, 0.60], [0.21, 0.312, 0.409, 0.511, 0.61]
    assert against(ours, theirs).finding is Finding.BETTER
    assert against(theirs, ours).finding is Finding.WORSE
    assert against(ours, [0.25, 0.25, 0.45, 0.45, 0.60]).finding is Finding.NONE
    assert against(ours, [None] * 4 + [0.61]).finding is Finding.UNKNOWN


def test_a_row_counts_what_was_not_reached():
    entries = [
        Entry(search=search(job(0.5, 0.3), job(1.0, 0.2, 0.1, round=2)), confirmed=(0.22, 0.24)),
        Entry(search=search(job(0.5, 0.3), repeat=2), confirmed=(0.31, 0.33)),
        Entry(search=search(repeat=3), confirmed=()),
    ]
    row = row_of(Arm.RANDOM, entries, DESIGN)
    assert (row.reached, row.repeats) == (1, 3)
    assert row.mass.value == math.inf
    assert row.mass_mean == pytest.approx((1.0 + 2.0 + 2.0) / 3)
    assert row.mass_round == math.inf
    assert row.best.mean == pytest.approx(0.75)
    assert row.confirmed.mean == pytest.approx((0.23 + 0.32) / 2)
    assert (row.jobs, row.cut_off) == (1.0, 1.0)


def test_a_confirmation_that_failed_confirms_nothing():
    assert Entry(search=search(), confirmed=(0.2, None)).confirmed_l1 is None


def test_the_tables_name_everybody_and_claim_nothing_without_an_interval():
    one = [Entry(search=search(job(0.5, 0.3, 0.1), arm=arm), confirmed=(0.2,)) for arm in Arm]
    text = summary({arm: [entry] for arm, entry in zip(Arm, one, strict=True)}, [0.3], DESIGN)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:7]}) == 1
    assert all(any(line.startswith(f"| {arm} |") for line in lines) for arm in Arm)
    assert "better" not in text
    assert "no interval" in text
