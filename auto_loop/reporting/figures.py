"""Figures for reading: short numbers, durations and moments, the same everywhere in a report."""

import math
from datetime import UTC, datetime, tzinfo

NONE = "–"


def number(value: float | None) -> str:
    """`value` in four significant digits, and in scientific form (three) where it is very small or very large."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size < 1e7 and size == int(size):
        return str(int(value))
    if 1e-3 <= size < 1e6:
        decimals = max(3 - math.floor(math.log10(size)), 0)
        fixed = f"{value:.{decimals}f}"
        return fixed.rstrip("0").rstrip(".") if decimals else fixed
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def signed(value: float | None) -> str:
    """`value` as a difference: with its sign, also when it is positive."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def percent(value: float | None) -> str:
    """A relative change in %; one of more than a thousand per cent upwards as a factor, which reads better."""
    if value is None:
        return NONE
    if math.isfinite(value) and value >= 1000:
        return f"×{number(value / 100 + 1)}"
    return f"{signed(float(f'{value:.3g}'))} %"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: `3 m 12 s`, `2 d 3 h`."""
    if seconds is None:
        return NONE
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def moment(at: float, zone: tzinfo = UTC) -> str:
    """A point in time (unix seconds) to the minute, with its zone: `2026-11-21 01:04 UTC`."""
    there = datetime.fromtimestamp(at, zone)
    return f"{there:%Y-%m-%d %H:%M} {there.tzname() or there.strftime('%z')}"


def span(start: float, end: float, zone: tzinfo = UTC) -> str:
    """From when to when; the day and the zone are said once where they are the same."""
    first, last = datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone)
    if first.date() != last.date() or first.tzname() != last.tzname():
        return f"{moment(start, zone)} – {moment(end, zone)}"
    return f"{first:%Y-%m-%d %H:%M} – {last:%H:%M} {last.tzname() or last.strftime('%z')}"


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 job`, `3 jobs`."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
