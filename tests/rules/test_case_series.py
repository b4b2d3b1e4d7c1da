"""The notation of series in rule cases: what each word means, and where a fault points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.errors import MisuseError
from auto_loop.rules.case_series import MOST_POINTS, parse_series


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("-2+4x3", (-2, 2, 6, 10)),
        (" 1-2x4", (1, -1, -3, -5, -7)),
        ("1x4", (1, 1, 1, 1, 1)),
        ("1+0x3", (1, 1, 1, 1)),
        ("1 _x3 2", (1, None, None, None, 2)),
        ("_ 5 _", (None, 5, None)),
        ("1e-3+1e-3x2", (0.001, 0.002, 0.003)),
        ("1e3-1e2x1 +.5 3.", (1000, 900, 0.5, 3)),
        ("inf -infx1", (math.inf, -math.inf, -math.inf)),
        ("0.5x0", (0.5,)),
        ("_x0 1", (1,)),
        ("2.6e-85", (2.6e-85,)),
    ],
)
def test_each_word_means_its_points(text: str, points: tuple[float | None, ...]) -> None:
    assert parse_series(text) == pytest.approx(points)


def test_nan_is_a_point() -> None:
    assert [str(one) for one in parse_series("nanx1 1")] == ["nan", "nan", "1.0"]


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("1 2,5 3", "'2,5' is no point", ",5"),
        ("1.0-0.1", "how many further points?", "-0.1"),
        ("0.5*10", "no run of points", "*10"),
        ("1x", "no run of points", "x"),
        ("NaN", "'NaN' is no point", "NaN"),
        ("1--2x3", "no run of points", "--2x3"),
        ("_+1x3", "no run of points", "+1x3"),
        ("1 0.5x100001", "more than 100,000 points", "100001"),
        ("1 0.5x99999999999999999999999999", "more than 100,000 points", "99999999999999999999999999"),
        ("1e999", "beyond what a float holds", "1e999"),
        ("1+1e308x50", "beyond what a float holds", "1+1e308x50"),
        ("nan+1x3", "no run of points", "+1x3"),
    ],
)
def test_a_fault_points_at_its_place(text: str, what: str, place: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse_series(text)
    fault = caught.value.faults[0]
    assert what in fault.what
    shown, marks = fault.pointer.split("\n")
    begin, end = marks.index(marks.strip()[0]), len(marks)
    assert shown[begin:end] == place


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(MisuseError) as caught:
        parse_series("1 a 2 b 3")
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("text", ["", "   "])
def test_no_point_is_a_fault(text: str) -> None:
    with pytest.raises(MisuseError, match="without a point"):
        parse_series(text)


def test_many_words_cannot_go_round_the_limit() -> None:
    with pytest.raises(MisuseError, match="more than"):
        parse_series(" ".join([f"0x{MOST_POINTS // 2}"] * 3))


@given(st.text(alphabet="0123456789+-.exXnaif_ *,", max_size=12))
def test_any_text_gives_points_or_faults_and_nothing_else(text: str) -> None:
    try:
        points = parse_series(text)
    except MisuseError:
        return
    assert 0 < len(points) <= MOST_POINTS + 1


@given(st.lists(st.floats() | st.none(), min_size=1, max_size=20))
def test_points_written_one_by_one_come_back(points: list[float | None]) -> None:
    text = " ".join("_" if one is None else repr(one) for one in points)
    assert parse_series(text) == pytest.approx(tuple(points), nan_ok=True)
