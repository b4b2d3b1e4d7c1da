"""The studentised bootstrap (bootstrap-t): an interval's ends from the differences' own shape.

Alone it errs too often where differences have heavy tails on both sides, as the paired t does where they have one on
one side; the wider of both is used (`docs/effects.md`).
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_NO_SPREAD = 1e-7


def studentised(standardised: Sequence[float], level: float, *, draws: int, seed: int) -> tuple[float, float]:
    """The lower and upper quantile of t under resampling: what Student's −t and t are to a paired t interval.

    `standardised` have mean 0 and standard deviation 1 (n − 1). The quantiles are rounded outwards to the nearest draw;
    a level finer than the draws gives the outermost ones. Draws without a spread have no t and are left out.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), 12.5.
    """
    values = np.asarray(standardised, dtype=np.float64)
    drawn = values[_resamples(values.size, draws, seed)]
    sd = drawn.std(axis=0, ddof=1)
    spread = sd > _NO_SPREAD
    t = np.sort(drawn.mean(axis=0)[spread] / (sd[spread] / math.sqrt(values.size)))
    if not t.size:
        return -math.inf, math.inf
    outside = max(int((t.size + 1) * (1 - level) / 2), 1)
    return float(t[outside - 1]), float(t[t.size - outside])


@lru_cache(maxsize=1)
def _resamples(n: int, draws: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices below n, shaped (n, draws): SplitMix64 (Steele, Lea & Flood, 2014), the same for ever and everywhere.

    numpy's own generators take 7 MB to import, and may change their numbers from one version to the next: then a study
    that is replayed could decide otherwise.
    """
    counter = np.arange(1, draws * n + 1, dtype=np.uint64)
    z = np.uint64(seed & (2**64 - 1)) + counter * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    indices = ((z >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)).astype(np.int64).reshape(n, draws)
    indices.flags.writeable = False  # All callers share the one that is kept.
    return indices
