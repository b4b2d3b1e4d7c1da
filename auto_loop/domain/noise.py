"""The noise floor of a study, and what a rule's track record may count as improved by it.

Every cell that ran under several seeds says how far runs of one config lie apart. Pooled, it tells what the difference
of two single runs is worth. It orders rules; it never makes anything "better" (`effect.py` alone does), for a floor is
taken from other configs than those that it judges.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auto_loop.domain.effect import Effect, Finding, Method, Terms, compare, finite, has_spread, mean_and_sd
from auto_loop.domain.stats import Direction
from auto_loop.domain.student import normal_quantile, quantile

TRACK_LEVEL = 0.9
"""The interval's level for a rule's track record: one worthless proposal in twenty counts as improved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far apart runs lie that differ in nothing but the seed, in the metric's unit.

    `sd`: of one config's runs, pooled over `cells` cells with `df` degrees of freedom. `paired_sd`: of the difference
    of two configs under one seed, with `paired_df`. Each is None where it is not known (then its df is 0).
    """

    sd: float | None
    df: int
    cells: int
    paired_sd: float | None = None
    paired_df: int = 0


def noise_floor(cells: Iterable[Mapping[int, float]], *, paired: bool) -> NoiseFloor:
    """The noise floor of cells, each a mapping from seed to that run's metric.

    `paired` where the trainer pairs its streams. A cell of one run says nothing. One without any spread (a dead
    baseline, a trainer that seeds do not change) is left out: its zero would make the others' noise look smaller.
    """
    noisy = [cell for cell in map(finite, cells) if len(cell) > 1 and has_spread(_sd(cell), list(cell.values()))]
    sd, df = _pooled([(_sd(cell), len(cell) - 1) for cell in noisy])
    paired_sd, paired_df = _pooled(_of_differences(noisy)) if paired else (None, 0)
    return NoiseFloor(sd=sd, df=df, cells=len(noisy), paired_sd=paired_sd, paired_df=paired_df)


def improved(candidate: Mapping[int, float], base: Mapping[int, float], floor: NoiseFloor, terms: Terms) -> bool | None:
    """Whether a rule's proposal counts as improved in its track record; None when nothing can be said.

    By the 90 % interval where the runs carry one; with fewer runs by the noise floor: better by more than it explains.
    It is not the claim "better": no fresh seeds, no account of how many were tried.
    """
    if terms.direction is Direction.NONE:
        return None
    effect = compare(candidate, base, replace(terms, level=TRACK_LEVEL))
    if effect.low is not None or effect.lost:  # A proposal that diverged where its base did not has not improved it.
        return effect.finding is Finding.BETTER
    told = _told_by_floor(effect, finite(candidate), finite(base), floor)
    if told is None:
        return None
    gain = -told.difference if terms.direction is Direction.LOWER else told.difference
    return gain > quantile((1 + TRACK_LEVEL) / 2, told.df) * told.error and gain >= terms.min_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A difference and its standard error, taken from `df` degrees of freedom of other runs."""

    difference: float
    error: float
    df: int


def _told_by_floor(
    effect: Effect, ours: Mapping[int, float], theirs: Mapping[int, float], floor: NoiseFloor
) -> _Told | None:
    """What the floor says of runs too few for an interval. None of runs that are enough and show no spread."""
    if effect.pairs == 1 and effect.estimate is not None and floor.paired_sd is not None:
        return _Told(difference=effect.estimate, error=floor.paired_sd, df=floor.paired_df)
    enough = effect.pairs > 1 or (effect.method is Method.WELCH_T and min(len(ours), len(theirs)) > 1)
    if enough or floor.sd is None or not ours or not theirs:
        return None
    difference = mean_and_sd(list(ours.values()))[0] - mean_and_sd(list(theirs.values()))[0]
    return _Told(difference=difference, error=floor.sd * math.sqrt(1 / len(ours) + 1 / len(theirs)), df=floor.df)


def _sd(cell: Mapping[int, float]) -> float:
    return mean_and_sd(list(cell.values()))[1]


def _pooled(parts: Sequence[tuple[float, int]]) -> tuple[float | None, int]:
    """One standard deviation of several, each weighted with its degrees of freedom; (None, 0) of none."""
    df = sum(df for _, df in parts)
    if not df:
        return None, 0
    sd = math.hypot(*(sd * math.sqrt(df) for sd, df in parts)) / math.sqrt(df)
    return (sd, df) if math.isfinite(sd) else (None, 0)


def _of_differences(cells: Iterable[Mapping[int, float]]) -> list[tuple[float, int]]:
    """The standard deviation of a difference under one seed, with its degrees of freedom, for each set of seeds.

    Cells that ran under the same seeds are a table; what is left of it without its cells' and its seeds' means is noise
    that pairing does not cancel. Of two cells this is the standard deviation of their differences; of m cells all
    m (m − 1) / 2 differences speak, which are (m − 1) independent ones.
    """
    by_seeds: defaultdict[frozenset[int], list[list[float]]] = defaultdict(list)
    for cell in cells:
        by_seeds[frozenset(cell)].append([cell[seed] for seed in sorted(cell)])
    return [left for rows in by_seeds.values() if len(rows) > 1 if (left := _left_over(rows)) is not None]


def _left_over(rows: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """Of a table of cells by seeds: sqrt(2) times its residual standard deviation, and (cells − 1)(seeds − 1)."""
    table = np.asarray(rows, dtype=np.float64)
    scale = float(np.abs(table).max())  # No spread, no table here: some value is not 0.
    table /= scale
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    df = (table.shape[0] - 1) * (table.shape[1] - 1)
    sd = math.sqrt(2 * float((left**2).sum()) / df)
    return (sd * scale, df) if has_spread(sd, [1.0]) else None


def interval_of_share(successes: int, trials: int, level: float = TRACK_LEVEL) -> tuple[float, float]:
    """Wilson's interval for a share of successes: how often a rule helps. (0, 1) where it was never tried.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials cannot be")
    if trials == 0:
        return 0.0, 1.0
    z2 = normal_quantile((1 + level) / 2) ** 2
    share = successes / trials
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)
