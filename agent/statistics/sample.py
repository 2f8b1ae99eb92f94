"""One sample: its median with an interval, its spread, its outliers, its drift."""

import itertools
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.statistics.estimate import CONFIDENCE, FEWEST, Estimate, without_interval

OUTLYING = 1.4826 * 10
"""Median absolute deviations from the median, as hyperfine has it: ten standard deviations, if the
values are normally distributed (Iglewicz, Hoaglin 1993)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is told of a sample. ``deviation`` is None of one value; ``outliers`` are indexes."""

    mean: float
    deviation: float | None
    median: Estimate
    lowest: float
    highest: float
    outliers: tuple[int, ...]


def summary(values: Sequence[float]) -> Summary:
    """Return the summary of a sample. Raises ValueError without values."""
    return Summary(
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        median=median_interval(values),
        lowest=min(values),
        highest=max(values),
        outliers=outliers(values),
    )


def median_interval(values: Sequence[float]) -> Estimate:
    """Return the median, and the interval between two order statistics. Raises ValueError.

    The k-th lowest and the k-th highest value enclose the median unless fewer than k values lie on
    one side of it; how many do is binomial, whatever the distribution (David, Nagaraja: Order
    Statistics, 2003, section 7.1).
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values to estimate from")
    middle = float(statistics.median(ordered))
    if len(ordered) < FEWEST:
        return without_interval(middle)
    rank = _rank(len(ordered))
    return Estimate(ordered[rank - 1], middle, ordered[-rank])


def _rank(size: int) -> int:
    """Return the largest k for which both tails together are no more than 5 %: in whole numbers."""
    tail, rank = 0, 0
    allowed = 2**size // round(2 / (1 - CONFIDENCE))
    while (tail := tail + math.comb(size, rank)) <= allowed:
        rank += 1
    return rank


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Return the indexes of the values that are far from the median, as hyperfine finds them."""
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    spread = spread or sys.float_info.epsilon
    return tuple(n for n, value in enumerate(values) if abs(value - middle) / spread > OUTLYING)


def drift(values: Sequence[float]) -> Estimate:
    """Return the change from each value to the next: the median of the slopes of all pairs.

    The interval rests on Kendall's tau (Theil 1950, Sen 1968). Raises ValueError for fewer than two
    values.
    """
    slopes = sorted(
        (values[later] - values[earlier]) / (later - earlier)
        for earlier, later in itertools.combinations(range(len(values)), 2)
    )
    if not slopes:
        raise ValueError("one value has no slope")
    middle = statistics.median(slopes)
    if len(values) < FEWEST:
        return without_interval(middle)
    reach = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * _deviation_of_tau(values)
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Estimate(slopes[low], middle, slopes[high])


def _deviation_of_tau(values: Sequence[float]) -> float:
    """Return the standard deviation of Kendall's S, less for values that are alike."""
    alike = Counter(values).values()
    squares = _squares(len(values)) - sum(map(_squares, alike))
    return math.sqrt(squares / 18)


def _squares(size: int) -> int:
    return size * (size - 1) * (2 * size + 5)
