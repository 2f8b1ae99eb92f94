"""Statistics over pairs: slowdowns, their intervals, the noise floor. No clock, no I/O.

Intervals are percentile bootstraps with a fixed seed: the same pairs always give the same interval.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.statistics.bootstrap import percentile_estimate, resamples
from agent.statistics.estimate import FEWEST, Estimate, without_interval

SEED = 20240229


def slowdown(before: float, armed: float, after: float) -> float:
    """Return the armed time divided by the mean of the bare times before and after it.

    Using both cancels any drift that is linear over the three runs.
    """
    return armed / ((before + after) / 2)


def median_estimate(values: Sequence[float]) -> Estimate:
    """Return the median and its bootstrap interval. Raises ValueError without values."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("no pairs to estimate from")
    middle = float(np.median(sample))
    if sample.size < FEWEST:
        return without_interval(middle)
    return percentile_estimate(middle, np.median(sample[resamples(sample.size, SEED)], axis=1))


def overhead_ratio(
    numerator: Mapping[int, float], denominator: Mapping[int, float]
) -> Estimate | None:
    """Return the ratio of two configurations' overheads (median slowdown - 1).

    Both arguments map a round to a slowdown. Rounds are resampled jointly, because a disturbance in
    a round affects both configurations. Return None if they share no round or the denominator has
    no overhead. A resample whose denominator has no overhead counts as infinite.
    """
    rounds = sorted(set(numerator) & set(denominator))
    if not rounds:
        return None
    over = np.array([numerator[r] for r in rounds]) - 1
    under = np.array([denominator[r] for r in rounds]) - 1
    if np.median(under) <= 0:
        return None
    middle = float(np.median(over) / np.median(under))
    if len(rounds) < FEWEST:
        return without_interval(middle)
    picks = resamples(len(rounds), SEED)
    tops, bottoms = np.median(over[picks], axis=1), np.median(under[picks], axis=1)
    ratios = np.full(tops.shape, np.inf)
    np.divide(tops, bottoms, out=ratios, where=bottoms > 0)
    return percentile_estimate(middle, ratios)


def noise_floor(nothing: Sequence[float]) -> float:
    """Return how far from 1 the interval of the A/A slowdowns reaches; infinite without one."""
    estimate = median_estimate(nothing)
    return max(abs(estimate.low - 1), abs(estimate.high - 1))


def is_difference(estimate: Estimate, floor: float) -> bool:
    """Return whether a slowdown is significant: beyond the floor, with 1 outside its interval."""
    return abs(estimate.middle - 1) > floor and not estimate.low <= 1 <= estimate.high
