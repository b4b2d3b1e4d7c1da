"""An effect: what a config did to the main metric against its base, with the interval that says how sure that is.

Here and nowhere else a run is called better. What keeps that honest over a whole study (`docs/effects.md`):
a candidate that looks promising (`screen`) was chosen *because* its runs came out well, so those runs prove nothing;
candidate and base run again on fresh seeds, and only these are judged, the k-th time at `confirmation_level(k)`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from auto_loop.domain.bootstrap import studentised
from auto_loop.domain.stats import Direction
from auto_loop.domain.student import quantile

SCREEN_LEVEL = 0.8
"""A promising candidate's interval: one worthless candidate in ten passes, and costs a confirmation, never a claim."""

FEWEST_FOR_BOOTSTRAP = 10
"""Fewer differences than these cannot tell the shape of their distribution."""

_SAME = 2.0**-23  # the resolution of a float32
"""A spread below this share of the values is the rounding of a trainer's floats, not the noise of its seeds."""


class Finding(StrEnum):
    """What an effect says. NONE is no proof of equality; UNKNOWN: nothing can be said, or nobody said what is good."""

    BETTER = "better"
    WORSE = "worse"
    NONE = "no detectable effect"
    UNKNOWN = "unknown"


class Method(StrEnum):
    """Where an interval comes from. The bootstrap's is never narrower than the paired t's of the same pairs."""

    PAIRED_T = "paired t"
    WELCH_T = "Welch's t"
    PAIRED_BOOTSTRAP = "paired bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms two cells are held against each other.

    `paired`: the trainer draws the same streams under the same seed whatever the config, so seeds cancel out.
    `level` is the two-sided interval's. `min_difference` is the smallest one that matters, in the metric's unit.
    """

    direction: Direction
    paired: bool
    level: float
    min_difference: float = 0.0
    bootstrap_from: int = FEWEST_FOR_BOOTSTRAP
    draws: int = 2000
    random_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse terms under which an interval would mean nothing."""
        if not 0 < self.level < 1:
            raise ValueError(f"an interval's level lies between 0 and 1, not at {self.level}")
        if not self.min_difference >= 0:
            raise ValueError(f"the smallest difference that matters is 0 or more, not {self.min_difference}")
        if self.bootstrap_from < FEWEST_FOR_BOOTSTRAP or self.draws < 1:
            raise ValueError(f"a bootstrap takes {FEWEST_FOR_BOOTSTRAP} pairs or more, and at least one draw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Candidate minus base, in the metric's unit.

    `estimate` is None without two values to subtract, `low` and `high` (both or neither) where no interval can be
    given; then the finding is UNKNOWN. `pairs` counts the seeds that both have (0 where cells are not paired), the two
    `n` each side's finite values. `lost`: how many more runs of the candidate than of the base came to no number.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    method: Method
    pairs: int
    n_candidate: int
    n_base: int
    finding: Finding
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimate:
    """An estimate, its interval where there is one, and how it was made."""

    value: float | None
    interval: tuple[float, float] | None
    method: Method
    pairs: int


def compare(candidate: Mapping[int, float], base: Mapping[int, float], terms: Terms) -> Effect:
    """The effect of a candidate against its base; both map a seed to that run's metric.

    Non-finite values are dropped, with their pair; a candidate that lost more runs to them than the base is not called
    better for those that are left. Fewer than two pairs (or, unpaired, two values on a side) give no
    interval. Nor do differences without any spread: of a trainer that seeds do not change, or whose metric takes few
    values, n equal differences are one observation n times, and a t of infinity would prove whatever came first.
    """
    ours, theirs = finite(candidate), finite(base)
    found = _paired(ours, theirs, terms) if terms.paired else _unpaired(ours, theirs, terms.level)
    lost = max(0, (len(candidate) - len(ours)) - (len(base) - len(theirs)))
    finding = _finding(found, terms)
    return Effect(
        estimate=found.value,
        low=found.interval[0] if found.interval else None,
        high=found.interval[1] if found.interval else None,
        level=terms.level,
        method=found.method,
        pairs=found.pairs,
        n_candidate=len(ours),
        n_base=len(theirs),
        finding=Finding.UNKNOWN if lost and finding is Finding.BETTER else finding,
        lost=lost,
    )


def screen(candidate: Mapping[int, float], base: Mapping[int, float], terms: Terms) -> bool:
    """Whether a candidate is promising enough to be confirmed on fresh seeds: by an 80 % interval. Never a claim."""
    return compare(candidate, base, replace(terms, level=SCREEN_LEVEL)).finding is Finding.BETTER


def spent(k: int, alpha: float = 0.05) -> float:
    """The risk of a false "better" that the k-th confirmation of a study (from 1 on) may take: alpha / (k (k + 1)).

    Each confirmation is judged on seeds that no choice has seen, so its risk is at most this, whatever came before.
    The risks of all of them sum to alpha (1/(k(k+1)) = 1/k − 1/(k+1)), however long the study runs, and so bound the
    chance of even one false "better" in it (Bonferroni's inequality; it asks for no independence).
    """
    if k < 1:
        raise ValueError(f"confirmations are counted from 1 on, not {k}")
    return alpha / (k * (k + 1))


def confirmation_level(k: int, alpha: float = 0.05) -> float:
    """The level of the k-th confirmation's two-sided interval: 95 % for the first, then 98.3 %, 99.2 %, 99.5 %, …

    "Better" is said on one side only, where an interval of level L errs with (1 − L) / 2. "Worse" has no consequence.
    """
    return 1 - 2 * spent(k, alpha)


def smallest_detectable(sd_of_difference: float, pairs: int, level: float) -> float:
    """Half a paired t interval's width: a measured difference below it is not told from 0. Infinite with one pair."""
    if pairs < 2:
        return math.inf
    return quantile((1 + level) / 2, pairs - 1) * sd_of_difference / math.sqrt(pairs)


def finite(values: Mapping[int, float]) -> dict[int, float]:
    """The runs that have a number, in order of their seeds."""
    return {seed: values[seed] for seed in sorted(values) if math.isfinite(values[seed])}


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n − 1; 0 for one value), scaled meanwhile, so that no square overflows."""
    scale = max(map(abs, values)) or 1.0
    mean = math.fsum(value / scale for value in values) / len(values)
    squares = math.fsum((value / scale - mean) ** 2 for value in values)
    return mean * scale, math.sqrt(squares / max(len(values) - 1, 1)) * scale


def has_spread(sd: float, values: Sequence[float]) -> bool:
    """Whether a standard deviation of these values is more than the rounding of their floats."""
    return sd > _SAME * max(map(abs, values))


def _paired(ours: Mapping[int, float], theirs: Mapping[int, float], terms: Terms) -> _Estimate:
    """By the differences under the seeds that both have."""
    pairs = [(value, theirs[seed]) for seed, value in ours.items() if seed in theirs]
    differences = [ours - theirs for ours, theirs in pairs if math.isfinite(ours - theirs)]
    n = len(differences)
    method = Method.PAIRED_BOOTSTRAP if n >= terms.bootstrap_from else Method.PAIRED_T
    if not n:
        return _Estimate(value=None, interval=None, method=method, pairs=0)
    mean, sd = mean_and_sd(differences)
    if n < 2 or not has_spread(sd, [value for pair in pairs for value in pair]):
        return _Estimate(value=mean, interval=None, method=method, pairs=n)
    error, t = sd / math.sqrt(n), quantile((1 + terms.level) / 2, n - 1)
    below, above = t, t
    if method is Method.PAIRED_BOOTSTRAP:
        standardised = [(value - mean) / sd for value in differences]
        lowest, highest = studentised(standardised, terms.level, draws=terms.draws, seed=terms.random_seed)
        below, above = max(t, highest), max(t, -lowest)
    return _Estimate(value=mean, interval=_bounded(mean - below * error, mean + above * error), method=method, pairs=n)


def _unpaired(ours: Mapping[int, float], theirs: Mapping[int, float], level: float) -> _Estimate:
    """Welch's t, its degrees of freedom (Welch–Satterthwaite) rounded down. Each side must show a spread of its own."""
    sides = [list(ours.values()), list(theirs.values())]
    if not all(sides):
        return _Estimate(value=None, interval=None, method=Method.WELCH_T, pairs=0)
    (mean, sd), (base_mean, base_sd) = map(mean_and_sd, sides)
    estimate, interval = mean - base_mean, None
    if has_spread(sd, sides[0]) and has_spread(base_sd, sides[1]):
        errors = [sd / math.sqrt(len(sides[0])), base_sd / math.sqrt(len(sides[1]))]
        error = math.hypot(*errors)
        share = [(part / error) ** 2 for part in errors]
        df = 1 / sum(part**2 / (len(side) - 1) for part, side in zip(share, sides, strict=True))
        # The hair keeps a whole number whole that rounding has put just below itself.
        half = quantile((1 + level) / 2, int(df + 1e-9)) * error
        interval = _bounded(estimate - half, estimate + half)
    return _Estimate(
        value=estimate if math.isfinite(estimate) else None, interval=interval, method=Method.WELCH_T, pairs=0
    )


def _bounded(low: float, high: float) -> tuple[float, float] | None:
    """An interval whose ends are numbers: beyond a float nothing is known."""
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _finding(found: _Estimate, terms: Terms) -> Finding:
    if found.value is None or found.interval is None or terms.direction is Direction.NONE:
        return Finding.UNKNOWN
    low, high = found.interval
    if low <= 0 <= high or abs(found.value) < terms.min_difference:
        return Finding.NONE
    return Finding.BETTER if (found.value < 0) is (terms.direction is Direction.LOWER) else Finding.WORSE


def in_words(effect: Effect, metric: str = "") -> str:
    """One line for a report: `l1: 0.0123 lower (95 % interval −0.0201 to −0.0045, paired t, 5 pairs): better`."""
    said = _unknown(effect) if effect.low is None else _known(effect)
    return f"{metric}: {said}" if metric else said


def _known(effect: Effect) -> str:
    """Of an effect that has an interval."""
    assert effect.estimate is not None
    assert effect.low is not None
    assert effect.high is not None
    size = f"{abs(effect.estimate):.3g} {'lower' if effect.estimate < 0 else 'higher'}"
    interval = f"{_percent(effect.level)} interval {_number(effect.low)} to {_number(effect.high)}"
    detail = f"{interval}, {effect.method}, {_counted(effect)}"
    if effect.finding is Finding.UNKNOWN and effect.lost:
        return f"{size} ({detail}): unknown, as {effect.lost} more of its runs than of the base's came to no number"
    if effect.finding is Finding.UNKNOWN:
        return f"{size} ({detail}): unknown, as the metric has no direction"
    if effect.finding is not Finding.NONE:
        return f"{size} ({detail}): {effect.finding}"
    if not effect.low <= 0 <= effect.high:
        return f"{size} ({detail}): too small to matter"
    unseen = max(effect.estimate - effect.low, effect.high - effect.estimate)
    return f"{effect.finding} ({detail}; a difference below {unseen:.3g} could not have been seen)"


def _unknown(effect: Effect) -> str:
    """Of an effect that has no interval: why not."""
    paired = effect.method is not Method.WELCH_T
    if paired and effect.pairs < 2:
        return "unknown: one pair only" if effect.pairs else "unknown: no seed that both were run under"
    if not paired and min(effect.n_candidate, effect.n_base) < 2:
        lost = f"; {effect.lost} more of its runs than of the base's came to no number" if effect.lost else ""
        return f"unknown: {effect.n_candidate} against {effect.n_base} runs, and two are needed on each side{lost}"
    return (
        f"unknown: {_counted(effect)} without a measurable spread, so there is no noise to hold the difference against"
    )


def _counted(effect: Effect) -> str:
    if effect.method is Method.WELCH_T:
        return f"{effect.n_candidate} against {effect.n_base} runs"
    return f"{effect.pairs} pairs"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _percent(level: float) -> str:
    """A level in per cent, with as many decimals as tell it from 100."""
    missing = 100 * (1 - level)
    decimals = max(0, 1 - math.floor(math.log10(missing)))
    return f"{100 - missing:.{decimals}f}".removesuffix(".0") + " %"
