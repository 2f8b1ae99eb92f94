"""One sample: its median with an interval, its spread, its outliers."""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from agent.statistics.estimate import CONFIDENCE, FEWEST, Estimate, without_interval

OF_A_DEVIATION = 1.4826
"""Median absolute deviations in a standard deviation, if the values are normally distributed."""
OUTLYING = OF_A_DEVIATION * 10
"""Median absolute deviations from the median, as hyperfine has it (Iglewicz, Hoaglin 1993)."""


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
    middle, spread = _middle_and_spread(values)
    return tuple(n for n, value in enumerate(values) if abs(value - middle) / spread > OUTLYING)


def is_far(value: float, others: Sequence[float], deviations: float) -> bool:
    """Return whether a value is beyond all others, and more than ``deviations`` from their median.

    These are standard deviations, as the median absolute deviation estimates them.
    """
    middle, spread = _middle_and_spread(others)
    is_beyond = not min(others) <= value <= max(others)
    return is_beyond and abs(value - middle) / spread > OF_A_DEVIATION * deviations


def _middle_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the median, and the median absolute deviation from it, which is not 0."""
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    return middle, spread or sys.float_info.epsilon
