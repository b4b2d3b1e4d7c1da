"""Student's t and the normal distribution: tails and quantiles, for intervals.

Our own, because scipy would cost the supervising process more memory than all of its goal
(`docs/adr/0015-own-student-t.md`). Degrees of freedom are whole numbers: then the distribution has closed forms.
Welch's fraction is rounded down by its caller, which makes the interval wider, never narrower.
"""

import math
from collections.abc import Callable
from functools import lru_cache

_FAR = 3.0
"""From here on a tail is summed by itself: 1 − (nearly 1) would lose its digits."""


def cdf(t: float, df: int) -> float:
    """P(T <= t) for Student's t with `df` degrees of freedom. ValueError for df < 1 or a NaN."""
    return tail(-t, df)


def tail(t: float, df: int) -> float:
    """P(T > t): to about 1e-12 of itself, however small it is."""
    if df < 1 or df != int(df):
        raise ValueError(f"degrees of freedom are a whole number from 1 on, not {df}")
    if math.isnan(t):
        raise ValueError("a NaN has no probability")
    if t < 0:
        return 1.0 - tail(-t, df)
    return _outside(t, df) / 2 if t > _FAR else (1.0 - _inside(t, df)) / 2


def quantile(p: float, df: int) -> float:
    """The t below which a share `p` lies: `cdf(quantile(p, df), df) == p`, to about 1e-12 of t.

    ValueError unless 0 < p < 1 and df >= 1.
    """
    return _both_sides(p, lambda q: _upper_t(q, df))


def normal_quantile(p: float) -> float:
    """The z below which a share `p` of the standard normal lies."""
    return _both_sides(p, _upper_z)


def _both_sides(p: float, upper: Callable[[float], float]) -> float:
    """The quantile of a symmetric distribution, from the point `upper(q)` above which a share q < 1/2 lies."""
    if not 0 < p < 1:
        raise ValueError(f"a quantile is asked for a share between 0 and 1, not {p}")
    if p == 0.5:
        return 0.0
    return upper(1 - p) if p > 0.5 else -upper(p)


@lru_cache(maxsize=1024)
def _upper_t(q: float, df: int) -> float:
    return _where_it_falls_to(q, lambda t: tail(t, df))


@lru_cache(maxsize=64)
def _upper_z(q: float) -> float:
    return _where_it_falls_to(q, lambda z: math.erfc(z / math.sqrt(2)) / 2)


def _where_it_falls_to(q: float, falling: Callable[[float], float]) -> float:
    """The x > 0 at which a falling function is q: doubled until it lies between two, then halved until nothing does."""
    high = 1.0
    while falling(high) > q:
        high *= 2
    low = 0.0 if high == 1.0 else high / 2
    while (middle := (low + high) / 2) not in (low, high) and high - low > 1e-15 * high:
        low, high = (middle, high) if falling(middle) > q else (low, middle)
    return (low + high) / 2


def _inside(t: float, df: int) -> float:
    """P(|T| <= t), a finite sum in the angle atan(t / sqrt(df)): Abramowitz & Stegun 26.7.3 (odd df), 26.7.4 (even)."""
    sine, cosine, odd = *_sine_and_cosine(t, df), df % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(df // 2):
        total += term
        term *= _ratio(k, odd) * cosine * cosine
    return 2 / math.pi * (math.atan2(sine, cosine) + sine * total) if odd else sine * total


def _outside(t: float, df: int) -> float:
    """P(|T| > t): the same sum's terms from where `_inside` ends to infinity. All are positive, so no digit is lost.

    With all its terms the sum is 1, by the power series of x / sqrt(1 − x²) and arcsin(x) / sqrt(1 − x²).
    """
    sine, cosine, odd = *_sine_and_cosine(t, df), df % 2
    term = sine * (cosine * 2 / math.pi if odd else 1.0)
    for k in range(df // 2):
        term *= _ratio(k, odd) * cosine * cosine
    total, k = 0.0, df // 2
    while term > 1e-17 * total:
        total += term
        term *= _ratio(k, odd) * cosine * cosine
        k += 1
    return total


def _ratio(k: int, odd: int) -> float:
    """Coefficient k + 1 over coefficient k: 2/3, 4/5, … for odd df, 1/2, 3/4, … for even."""
    return (2 * k + 1 + odd) / (2 * k + 2 + odd)


def _sine_and_cosine(t: float, df: int) -> tuple[float, float]:
    """Of the angle whose tangent is t / sqrt(df)."""
    if math.isinf(t):
        return 1.0, 0.0
    root = math.sqrt(df)
    hypotenuse = math.hypot(root, t)
    return t / hypotenuse, root / hypotenuse
