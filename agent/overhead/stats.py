"""Statistics over pairs: medians, bootstrap intervals, the noise floor. No clock, no I/O.

The bootstrap is the percentile method (Efron, Tibshirani: An Introduction to the Bootstrap, 1993,
chapter 13), with a fixed seed: the same pairs always give the same interval.

Fewer than six pairs have no 95 % interval. The widest that order statistics give, from the lowest
to the highest of n values, covers the median with a probability of 1 - 2^(1-n): 0 for one pair,
0.94 for five, 0.97 for six. A bootstrap of so few only repeats them. The bounds are infinite then,
so nothing counts as a difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST_PAIRS = 6
SEED = 20240229


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and the bounds of its 95 % interval; infinite ones if there are too few pairs."""

    low: float
    middle: float
    high: float

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low)


def slowdown(before: float, armed: float, after: float) -> float:
    """Return the armed time divided by the mean of the bare times before and after it.

    Using both cancels any drift that is linear over the three runs.
    """
    return armed / ((before + after) / 2)


def median_estimate(values: Sequence[float], seed: int = SEED) -> Estimate:
    """Return the median and its bootstrap interval. Raises ValueError without values."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("no pairs to estimate from")
    middle = float(np.median(sample))
    if sample.size < FEWEST_PAIRS:
        return _without_interval(middle)
    return _estimate(middle, np.median(sample[_resamples(sample.size, seed)], axis=1))


def overhead_ratio(
    numerator: Mapping[int, float], denominator: Mapping[int, float], seed: int = SEED
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
    if len(rounds) < FEWEST_PAIRS:
        return _without_interval(middle)
    picks = _resamples(len(rounds), seed)
    tops, bottoms = np.median(over[picks], axis=1), np.median(under[picks], axis=1)
    ratios = np.full(tops.shape, np.inf)
    np.divide(tops, bottoms, out=ratios, where=bottoms > 0)
    return _estimate(middle, ratios)


def noise_floor(nothing: Sequence[float]) -> float:
    """Return how far from 1 the interval of the A/A slowdowns reaches; infinite without one."""
    estimate = median_estimate(nothing)
    return max(abs(estimate.low - 1), abs(estimate.high - 1))


def is_difference(estimate: Estimate, floor: float) -> bool:
    """Return whether a slowdown is significant: beyond the floor, with 1 outside its interval."""
    return abs(estimate.middle - 1) > floor and not estimate.low <= 1 <= estimate.high


def _without_interval(middle: float) -> Estimate:
    return Estimate(-math.inf, middle, math.inf)


def _resamples(size: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, size, size=(RESAMPLES, size))


def _estimate(middle: float, resampled: NDArray[np.float64]) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    # Use order statistics: interpolation between two infinite values gives inf - inf, a nan.
    low, high = np.quantile(resampled, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(float(low), middle, float(high))
