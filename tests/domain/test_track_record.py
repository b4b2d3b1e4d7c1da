import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.track_record import LARGEST_SHIFT, TrackRecord, never_helps, shift


def record(measured: int, improved: int) -> TrackRecord:
    return TrackRecord(rule="r", fired=measured, accepted=measured, measured=measured, improved=improved)


@pytest.mark.parametrize(
    ("measured", "improved", "moved"),
    [(0, 0, 0), (1, 1, 3), (1, 0, -3), (2, 1, 0), (3, 0, -6), (3, 3, 6), (1000, 1000, 10), (1000, 0, -10)],
)
def test_a_record_moves_its_rule_by_what_it_has_shown(measured: int, improved: int, moved: int) -> None:
    assert shift(record(measured, improved)) == moved


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_no_record_moves_a_rule_far_and_one_more_improvement_never_harms(counts: tuple[int, int]) -> None:
    measured, improved = counts
    assert abs(shift(record(measured, improved))) <= LARGEST_SHIFT
    assert shift(record(measured + 1, improved + 1)) >= shift(record(measured, improved))
    assert shift(record(measured + 1, improved)) <= shift(record(measured, improved))
    assert shift(record(measured, measured - improved)) == -shift(record(measured, improved))


def test_a_rule_is_named_once_it_was_measured_often_enough_and_never_helped() -> None:
    assert never_helps(record(3, 0))
    assert not never_helps(record(2, 0))
    assert not never_helps(record(30, 1))
    assert not never_helps(TrackRecord(rule="r", fired=9, accepted=9))


def test_the_share_has_its_interval_once_something_was_measured() -> None:
    assert (record(0, 0).share, record(0, 0).interval) == (None, None)
    one = record(4, 1)
    assert one.share == 0.25
    assert one.interval is not None
    assert 0 < one.interval[0] < 0.25 < one.interval[1] < 1
