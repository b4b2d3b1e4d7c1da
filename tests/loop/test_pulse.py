"""The pulse of a run: a hang is told from a pause, and nothing that nobody watched is held against a run."""

from auto_loop.domain.job import StopCause
from auto_loop.loop.pulse import Limits, Pulse, felt, overdue

LIMITS = Limits(start_timeout_s=10.0, stall_after_s=20.0)


def watched(pulse: Pulse, seconds: int, *, points: int = 0, log_bytes: int = 0) -> Pulse:
    for _ in range(seconds):
        pulse = felt(pulse, points or pulse.points, log_bytes or pulse.log_bytes, 1.0)
    return pulse


def test_nothing_logged_for_too_long_is_a_hang() -> None:
    assert overdue(watched(Pulse(), 10), LIMITS) is None
    cause, text = overdue(watched(Pulse(), 11), LIMITS) or (None, "")
    assert cause is StopCause.START_TIMEOUT
    assert "--start-timeout" in text


def test_before_the_first_metric_a_growing_log_is_a_sign_of_life() -> None:
    pulse = watched(Pulse(), 9)
    pulse = watched(felt(pulse, 0, 100, 1.0), 9)
    assert overdue(pulse, LIMITS) is None
    assert overdue(watched(pulse, 2), LIMITS) is not None


def test_after_the_first_metric_only_metrics_count() -> None:
    pulse = felt(Pulse(), 1, 0, 1.0)
    for second in range(21):
        pulse = felt(pulse, 1, 1000 + second, 1.0)
    cause, text = overdue(pulse, LIMITS) or (None, "")
    assert cause is StopCause.STALL
    assert "--stall-after" in text


def test_a_run_may_be_silent_for_five_times_its_longest_pause() -> None:
    pulse = felt(watched(felt(Pulse(), 1, 0, 1.0), 9), 2, 0, 1.0)
    assert pulse.longest_gap_s == 10.0
    assert overdue(watched(pulse, 50), LIMITS) is None
    assert overdue(watched(pulse, 51), LIMITS) is not None


def test_time_that_nobody_watched_is_not_held_against_a_run() -> None:
    pulse = felt(felt(Pulse(), 1, 0, 1.0), 1, 0, 3600.0)
    assert overdue(pulse, LIMITS) is None
    assert overdue(felt(Pulse(), 0, 0, 3600.0), LIMITS) is None


def test_what_was_logged_before_the_first_look_makes_no_gap() -> None:
    assert felt(watched(Pulse(), 8), 500, 0, 1.0).longest_gap_s == 0.0


def test_zero_means_for_ever() -> None:
    never = Limits(start_timeout_s=0.0, stall_after_s=0.0)
    assert overdue(Pulse(silent_s=1e9), never) is None
    assert overdue(Pulse(points=1, silent_s=1e9), never) is None
