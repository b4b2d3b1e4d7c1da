import pytest

from benchmarks.contestants import KEPT, SPAWN, Race
from benchmarks.figure import Figure, table
from benchmarks.stamps import Stamps, busy_share, handoffs, percentile, rate


def test_a_start_is_paired_with_the_earliest_end_that_has_no_successor():
    stamps = Stamps(starts=(0.0, 0.1, 1.3, 1.6, 2.4), ends=(1.0, 1.5, 2.2, 2.5, 3.0))
    assert handoffs(stamps, slots=2) == pytest.approx([0.3, 0.1, 0.2])


def test_slots_that_never_wait_are_wholly_busy():
    stamps = Stamps(starts=(0.0, 0.0, 1.0, 1.0), ends=(1.0, 1.0, 2.0, 2.0))
    assert busy_share(stamps, slots=2) == pytest.approx(1.0)
    assert rate(stamps) == pytest.approx(2.0)


def test_half_the_time_between_two_jobs_is_a_third_less():
    stamps = Stamps(starts=(0.0, 2.0), ends=(1.0, 3.0))
    assert busy_share(stamps, slots=1) == pytest.approx(2 / 3)


def test_a_percentile_is_one_of_the_values():
    assert percentile([5.0, 1.0, 3.0], 95) == 5.0
    assert percentile([5.0, 1.0, 3.0], 50) == 3.0


@pytest.mark.parametrize("contestant", [SPAWN, KEPT], ids=lambda one: one.name)
def test_a_race_leaves_a_start_and_an_end_of_every_job(contestant, tmp_path):
    stamps = contestant.run(Race(jobs=3, nap_s=0.0), tmp_path)
    assert (len(stamps.starts), len(stamps.ends)) == (3, 3)


def test_a_missed_goal_is_said():
    text = table([Figure(what="w", who="us", value=2.0, unit="ms", goal="<= 1", reached=False)])
    assert "| us  | 2.0 ms | <= 1 | missed |" in text
