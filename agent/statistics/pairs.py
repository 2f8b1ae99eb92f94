"""Differences of pairs: how large they are, and whether there are any.

The signed-rank test and the estimate of Hodges and Lehmann assume that differences are symmetric
about their middle. The sign test, next to them, does not.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agent.statistics.estimate import LEVEL, Estimate, without_interval
from agent.statistics.ranks import doubled_ranks


def hodges_lehmann(differences: Sequence[float], level: float = LEVEL) -> Estimate:
    """Return the median of the means of any two differences, each also with itself.

    The interval holds every shift that the exact signed-rank test does not reject at this level
    (Hodges, Lehmann 1963; Hollander, Wolfe: Nonparametric Statistical Methods, section 3.3); there
    is none if so few differences reach no such p value. Raises ValueError without differences.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("no pairs to estimate from")
    first, second = np.triu_indices(sample.size)
    means = np.sort((sample[first] + sample[second]) / 2)
    middle = float(np.median(means))
    rank = int(np.searchsorted(_tails(sample.size), level / 2, side="right"))
    if rank == 0:
        return without_interval(middle)
    return Estimate(float(means[rank - 1]), middle, float(means[-rank]))


def signed_rank_test(differences: Sequence[float]) -> float:
    """Return the two-sided p value of Wilcoxon's test, exact also where differences are alike.

    Differences of 0 are left out, as Wilcoxon did; with no other the value is 1.
    """
    sample = np.asarray(differences, dtype=np.float64)
    sample = sample[sample != 0]
    ranks = doubled_ranks(np.abs(sample))
    positive = int(ranks[sample > 0].sum())
    least = min(positive, int(ranks.sum()) - positive)
    # each sum of ranks is as likely as its complement
    return min(1.0, 2 * float(_sums_of_ranks(ranks)[: least + 1].sum()))


def sign_test(differences: Sequence[float]) -> float:
    """Return the two-sided p value of the exact sign test. Differences of 0 are left out."""
    positive = sum(value > 0 for value in differences)
    negative = sum(value < 0 for value in differences)
    size = positive + negative
    tail = sum(math.comb(size, n) for n in range(min(positive, negative) + 1))
    return min(1.0, tail / 2 ** (size - 1)) if size else 1.0


@lru_cache(maxsize=1)
def _tails(size: int) -> NDArray[np.float64]:
    """Return how likely each sum of so many ranks is, or a smaller one."""
    return np.cumsum(_sums_of_ranks(range(1, size + 1)))


def _sums_of_ranks(ranks: Iterable[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each sum of the ranks that have a plus, if plus is as likely."""
    sums = np.ones(1)
    for rank in ranks:
        without, with_it = np.zeros((2, sums.size + int(rank)))
        without[: sums.size] = with_it[int(rank) :] = sums
        sums = (without + with_it) / 2
    return sums
