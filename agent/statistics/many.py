"""Many tests at once."""

import math
from collections.abc import Sequence

from agent.statistics.estimate import FEWEST, LEVEL


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p values as they count among so many others (Benjamini, Hochberg 1995).

    Of those that are at most 0.05, one in twenty may be expected to be found by chance.
    """
    size = len(values)
    least, result = 1.0, [1.0] * size
    falling = sorted(range(size), key=lambda index: values[index], reverse=True)
    for rank, index in zip(range(size, 0, -1), falling, strict=True):
        least = min(least, values[index] * size / rank)
        result[index] = least
    return result


def level_among(others: Sequence[float]) -> float:
    """Return the largest p value that, once it is adjusted among these others, is at most 0.05."""
    size = len(others) + 1
    ranks = [
        rank
        for rank in range(1, size + 1)
        if sum(p <= LEVEL * rank / size for p in others) >= rank - 1
    ]
    return LEVEL * max(ranks) / size


def fewest_pairs(size: int) -> int:
    """Return how many pairs it takes to tell that one of so many figures differs, and no other.

    The smallest p value that n pairs can reach is 2^(1-n): all of them point the same way.
    """
    return 1 + math.ceil(math.log2(size / LEVEL))


def fewest_runs(size: int) -> int:
    """Return how many runs of each side it takes for the same if they are not pairs.

    The smallest p value that the exact test of Mann and Whitney can reach with n of each is
    2 / C(2n, n). Below `FEWEST` a side has no interval.
    """
    runs = FEWEST
    while 2 / math.comb(2 * runs, runs) > LEVEL / size:
        runs += 1
    return runs
