"""Ranks of values, and how likely their sums are if it is chance which values have which rank."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def doubled_ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return twice the rank of each value; values that are alike share the mean of theirs."""
    _, group, alike = np.unique(values, return_inverse=True, return_counts=True)
    smaller = np.cumsum(alike) - alike
    doubled: NDArray[np.int64] = (2 * smaller + alike + 1)[group]
    return doubled


@lru_cache(maxsize=4)
def sums_of_some(ranks: tuple[int, ...], size: int) -> NDArray[np.float64]:
    """Return the probability of each sum of ``size`` of these ranks, if all choices are as likely.

    The index is the sum. Counted exactly, choice by choice of the next rank: as many steps as there
    are ranks, each over ``size`` times the largest sum.
    """
    largest = sum(sorted(ranks)[len(ranks) - size :])
    ways = np.zeros((size + 1, largest + 1))
    ways[0, 0] = 1
    for rank in ranks:
        # of the ways before this rank: numpy copies what overlaps
        ways[1:, rank:] += ways[:-1, : largest + 1 - rank]
    found: NDArray[np.float64] = ways[size] / math.comb(len(ranks), size)
    return found
