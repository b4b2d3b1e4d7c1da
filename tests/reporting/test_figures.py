"""Figures for reading."""

import math
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.reporting.figures import count, duration, moment, number, percent, signed, span


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0, "0"),
        (2.6e-85, "2.6e-85"),
        (0.30624, "0.3062"),
        (0.1, "0.1"),
        (12.0, "12"),
        (1234.5678, "1235"),
        (123456.0, "123456"),
        (1.23456e9, "1.23e9"),
        (0.0001, "1e-4"),
        (-3.14159, "-3.142"),
        (0.99999, "1"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_number_is_short(value: float | None, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_short_number_is_still_that_number(value: float) -> None:
    assert len(number(value)) <= 10
    assert math.isclose(float(number(value)), value, rel_tol=0.006)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (7.24, "7.2 s"),
        (9.97, "10 s"),
        (59.7, "1 m 0 s"),
        (192.0, "3 m 12 s"),
        (3599.7, "1 h 0 m"),
        (3900.0, "1 h 5 m"),
        (86399.0, "1 d 0 h"),
        (2 * 86400 + 3 * 3600.0, "2 d 3 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_change_shows_its_sign_and_a_huge_one_is_a_factor() -> None:
    assert (signed(0.25), signed(-0.25), signed(0.0), signed(None)) == ("+0.25", "-0.25", "0", "–")
    assert (percent(12.345), percent(-36.519), percent(0.0), percent(None)) == ("+12.3 %", "-36.5 %", "0 %", "–")
    assert percent(900.0) == "+900 %"
    assert percent(1900.0) == "×20"


def test_times_name_their_zone_and_the_same_day_once() -> None:
    east = timezone(timedelta(hours=2))
    assert moment(1763690000, UTC) == "2025-11-21 01:53 UTC"
    assert moment(1763690000, east) == "2025-11-21 03:53 UTC+02:00"
    assert span(1763690000, 1763690700, UTC) == "2025-11-21 01:53 – 02:05 UTC"
    assert span(1763690000, 1763790000, UTC) == "2025-11-21 01:53 UTC – 2025-11-22 05:40 UTC"


def test_a_count_agrees_with_its_noun() -> None:
    assert (count(1, "job"), count(0, "job"), count(2, "story", "stories")) == ("1 job", "0 jobs", "2 stories")
