"""The busy share of a steady search, from stamps that were made up."""

import pytest

from benchmarks.steady import SLOTS, Run, busy


def test_only_the_time_counts_in_which_something_waited() -> None:
    work = (*tuple((0.0, 10.0) for _ in range(SLOTS - 1)), (0.0, 4.0), (6.0, 10.0))
    whole = Run(work=work, waits=())
    assert whole.window == (0.0, 6.0)
    assert busy(whole, [whole.window]) == pytest.approx(1 - 2 / (6 * SLOTS))
    assert busy(whole, [(0.0, 4.0)]) == 1.0
    assert busy(whole, [(4.0, 6.0)]) == pytest.approx(1 - 1 / SLOTS)


def test_time_is_counted_once_however_many_wait() -> None:
    work = (*tuple((0.0, 10.0) for _ in range(SLOTS)), (10.0, 11.0))
    run = Run(work=work, waits=((2.0, 8.0), (4.0, 12.0)))
    assert busy(run, run.waits) == 1.0


def test_without_anything_that_waited_there_is_no_share() -> None:
    assert busy(Run(work=((0.0, 1.0), (1.0, 2.0)), waits=()), []) == 0.0
