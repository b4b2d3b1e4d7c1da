"""Failure classes: what kind of end an attempt came to, as a word that retries and remedies go by."""

from enum import StrEnum


class Failure(StrEnum):
    """Why an attempt did not succeed. Profiles name these in `[[failure]]`, packs in `[[remedy]]`.

    `CRASH` is every failure of the trainer's own that has no better name; `LOST` an end that nobody saw.
    """

    OUT_OF_MEMORY = "out of memory"
    NOT_FINITE = "not finite"
    HANG = "hang"
    PREEMPTED = "preempted"
    DISK_FULL = "disk full"
    GPU_LOST = "gpu lost"
    TRANSIENT = "transient"
    CONFIG_REFUSED = "config refused"
    CRASH_AT_START = "crash at start"
    CRASH = "crash"
    LOST = "lost"

    @property
    def may_pass(self) -> bool:
        """Whether the same job may well succeed when it is simply tried again: its cause lay outside of it."""
        return self in _OUTSIDE

    @property
    def is_its_own(self) -> bool:
        """Whether the trainer ended by itself, over its code or what it was given."""
        return self in (Failure.CONFIG_REFUSED, Failure.CRASH_AT_START, Failure.CRASH)


_OUTSIDE = frozenset(
    {Failure.HANG, Failure.PREEMPTED, Failure.DISK_FULL, Failure.GPU_LOST, Failure.TRANSIENT, Failure.LOST}
)
