"""Times until something, some of them censored: Kaplan–Meier's curve, its median, and the restricted mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """When it happened, or, with `reached` False, until when it had not."""

    at: float
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The share still waiting from `at` on, with its pointwise 95 % interval."""

    at: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """The median time with its 95 % interval; infinity stands for "not reached"."""

    value: float
    low: float
    high: float


def curve(times: Sequence[Time]) -> list[Step]:
    """Kaplan and Meier's estimate with Greenwood's variance, the interval made on the scale of log(-log).

    Begins at 0 with everybody waiting. At a share of 0 the interval has no width; it is widest before.
    """
    steps, share, sum_of = [Step(at=0.0, share=1.0, low=1.0, high=1.0)], 1.0, 0.0
    for at in sorted({time.at for time in times if time.reached}):
        waiting = sum(time.at >= at for time in times)
        events = sum(time.at == at and time.reached for time in times)
        share *= 1 - events / waiting
        if events < waiting:
            sum_of += events / (waiting * (waiting - events))
        steps.append(Step(at=at, share=share, low=_bound(share, sum_of, _Z), high=_bound(share, sum_of, -_Z)))
    return steps


def _bound(share: float, sum_of: float, z: float) -> float:
    if share <= 0:
        return 0.0
    return float(share ** math.exp(z * math.sqrt(sum_of) / -math.log(share)))


def median(times: Sequence[Time]) -> Median:
    """The first time at which at most half still wait; the interval holds every time that the curve's own allows.

    Brookmeyer & Crowley (1982): all t whose interval of the share holds one half.
    """
    steps = curve(times)

    def first(name: str) -> float:
        return next((step.at for step in steps if getattr(step, name) <= 0.5), math.inf)

    return Median(value=first("share"), low=first("low"), high=first("high"))


def restricted_mean(times: Sequence[Time], until: float) -> float:
    """The mean time waited up to `until`: the area below the curve."""
    steps = [step for step in curve(times) if step.at < until]
    ends = [*(step.at for step in steps), until]
    return sum(step.share * (end - begin) for step, (begin, end) in zip(steps, pairwise(ends), strict=True))
