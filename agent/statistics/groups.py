"""Two groups of runs that are not pairs: how far apart they are, and whether by chance.

The test is exact for up to 100 runs in both groups together, also where values are alike: then it
is the permutation test of the sum of ranks. With more, it is the normal approximation with the
corrections for ties and for continuity, as scipy has it.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from agent.statistics.comparison import Shift, logarithms, relative
from agent.statistics.estimate import FEWEST, LEVEL, Estimate, detectable, without_interval
from agent.statistics.ranks import doubled_ranks, sums_of_some

EXACT_UP_TO = 100
"""Runs in both groups: counting takes time that grows with the fourth power."""


def mann_whitney_test(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p value of the test of Mann and Whitney (1947). Raises ValueError.

    It tests whether the values of one group tend to be larger. It is not a test of medians.
    """
    few, many = sorted((_sample(first), _sample(second)), key=lambda group: group.size)
    ranks = doubled_ranks(np.concatenate([few, many]))
    observed = int(ranks[: few.size].sum())
    if ranks.size > EXACT_UP_TO:
        return _approximate(observed / 2, ranks, few.size)
    if not (ranks % 2).any():
        ranks, observed = ranks // 2, observed // 2
    likely = sums_of_some(tuple(sorted(ranks.tolist())), few.size)
    tails = likely[: observed + 1].sum(), likely[observed:].sum()
    return min(1.0, 2 * float(min(tails)))


def hodges_lehmann_sen(
    first: Sequence[float], second: Sequence[float], level: float = LEVEL
) -> Estimate:
    """Return the median of the differences of any second value from any first one.

    The interval holds every shift that the test of Mann and Whitney does not reject at this level
    (Hodges, Lehmann 1963; Sen 1963; Hollander, Wolfe: Nonparametric Statistical Methods, section
    4.3); there is none if so few runs reach no such p value, or with fewer than six on a side.
    Raises ValueError if a group is empty.
    """
    before, after = _sample(first), _sample(second)
    differences = np.sort(np.subtract.outer(after, before), axis=None)
    middle = float(np.median(differences))
    rank = _rank(before.size, after.size, level)
    if min(before.size, after.size) < FEWEST or rank == 0:
        return without_interval(middle)
    return Estimate(float(differences[rank - 1]), middle, float(differences[-rank]))


def shift_of_groups(first: Sequence[float], second: Sequence[float]) -> Shift:
    """Return the shift from the first to the second group. Raises ValueError if one is empty."""
    estimate = hodges_lehmann_sen(first, second)
    return Shift(estimate, mann_whitney_test(first, second), None, detectable(estimate))


def detectable_between_groups(
    level: float, first: Sequence[float], second: Sequence[float]
) -> float:
    """Return the smallest shift that would probably have been found at this level.

    It is infinite if so few runs reach no such p value. Raises ValueError if a group is empty.
    """
    return detectable(hodges_lehmann_sen(first, second, level), level)


def relative_shift_of_groups(first: Sequence[float], second: Sequence[float]) -> Shift:
    """Return the shift as a part of the first values: 0.1 if the second are 10 % larger.

    It is found from the logarithms. Raises ValueError unless all are above 0.
    """
    return relative(shift_of_groups(*map(logarithms, (first, second))))


def _sample(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("no runs to estimate from")
    return sample


def _rank(first: int, second: int, level: float) -> int:
    """Return which of the ordered differences bounds the interval; 0 if none does."""
    if first + second <= EXACT_UP_TO:
        return int(np.searchsorted(_tails(first, second), level / 2, side="right"))
    spread = math.sqrt(first * second * (first + second + 1) / 12)
    reach = NormalDist().inv_cdf(1 - level / 2) * spread
    return max(0, math.floor(first * second / 2 - reach + 0.5))


@lru_cache(maxsize=1)
def _tails(first: int, second: int) -> NDArray[np.float64]:
    """Return how likely each value of U is, or a smaller one, if no two runs are alike."""
    size = min(first, second)
    likely = sums_of_some(tuple(range(1, first + second + 1)), size)
    return np.cumsum(likely[size * (size + 1) // 2 :])


def _approximate(sum_of_ranks: float, ranks: NDArray[np.int64], few: int) -> float:
    """Return p by the normal distribution, less for values that are alike (Lehmann 1975)."""
    size, many = ranks.size, ranks.size - few
    _, alike = np.unique(ranks, return_counts=True)
    ties = float((alike.astype(np.float64) ** 3 - alike).sum()) / (size * (size - 1))
    spread = math.sqrt(few * many / 12 * (size + 1 - ties))
    from_mean = abs(sum_of_ranks - few * (size + 1) / 2)
    if spread == 0:
        return 1.0
    return min(1.0, 2 * NormalDist().cdf(-(from_mean - 0.5) / spread))
