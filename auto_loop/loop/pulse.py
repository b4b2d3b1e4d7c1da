"""A run's pulse: how regularly its metrics come, and when their absence means that it hangs. Pure.

Time is counted only while somebody watched: after a suspended machine or a stopped supervisor every healthy run would
look dead.
"""

from dataclasses import dataclass

from auto_loop.domain.job import StopCause

# Between two looks there is about a second; of a longer pause no more than this is held against a run.
_MOST_S = 5.0
_GAPS = 5  # a run may be silent for so many times the longest silence seen: evaluations come rarely and take long


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a run may be silent, and how long it may take, in seconds; 0 means for ever."""

    start_timeout_s: float = 900.0
    stall_after_s: float = 3600.0
    job_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was felt so far: `points` logged, seconds `silent_s` since the last sign, the longest gap between metrics.

    Before the first metric a log that grows (`log_bytes`) is a sign of life too: preparing data can take long, and
    some trainers log in a form that nobody here reads.
    """

    points: int = 0
    log_bytes: int = 0
    silent_s: float = 0.0
    longest_gap_s: float = 0.0


def felt(before: Pulse, points: int, log_bytes: int, passed_s: float) -> Pulse:
    """The pulse after a look `passed_s` after the last one, which found so many points and bytes of log in all."""
    silent = before.silent_s + min(passed_s, _MOST_S)
    if points > before.points:
        gap = silent if before.points else 0.0
        return Pulse(points=points, log_bytes=log_bytes, longest_gap_s=max(before.longest_gap_s, gap))
    alive = not before.points and log_bytes > before.log_bytes
    return Pulse(
        points=before.points,
        log_bytes=log_bytes,
        silent_s=0.0 if alive else silent,
        longest_gap_s=before.longest_gap_s,
    )


def overdue(pulse: Pulse, limits: Limits) -> tuple[StopCause, str] | None:
    """Why a run counts as hung, with the words for it; None while it does not."""
    if not pulse.points:
        if 0 < limits.start_timeout_s < pulse.silent_s:
            text = f"neither a metric nor a line of log for {pulse.silent_s:.0f} s (--start-timeout)"
            return StopCause.START_TIMEOUT, text
        return None
    allowed = max(limits.stall_after_s, _GAPS * pulse.longest_gap_s)
    if limits.stall_after_s <= 0 or pulse.silent_s <= allowed:
        return None
    gap = f"; the longest pause before was {pulse.longest_gap_s:.0f} s" if pulse.longest_gap_s else ""
    return StopCause.STALL, f"no new metric for {pulse.silent_s:.0f} s (--stall-after{gap})"
