"""The bootstrap (Efron, Tibshirani: An Introduction to the Bootstrap, 1993).

With a fixed seed, so that the same values always give the same interval.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.statistics.estimate import CONFIDENCE, FEWEST, Estimate, without_interval

RESAMPLES = 10_000
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, slots=True)
class Gain:
    """A gain in percent, and by which method its interval was found (none: too few pairs)."""

    estimate: Estimate
    method: str


def resamples(size: int, seed: int) -> NDArray[np.int64]:
    """Return indexes, one resample in each row."""
    return np.random.default_rng(seed).integers(0, size, size=(RESAMPLES, size))


def percentile_estimate(middle: float, resampled: NDArray[np.float64]) -> Estimate:
    """Return an estimate with its percentile interval (chapter 13)."""
    # Use order statistics: interpolation between two infinite values gives inf - inf, a nan.
    low, high = np.quantile(resampled, [_TAIL, 1 - _TAIL], method="inverted_cdf")
    return Estimate(float(low), middle, float(high))


def gain(baseline: Sequence[float], optimized: Sequence[float], seed: int) -> Gain:
    """Return 100 · (1 - median optimized / median baseline), with its interval.

    The two samples are pairs, and are resampled as pairs. The interval is BCa, or the percentile
    interval where that is not defined: where no value moves the gain if it is left out, or all
    resamples lie on one side of it. Raises ValueError without pairs.
    """
    pairs = np.array([baseline, optimized], dtype=np.float64)
    if pairs.size == 0:
        raise ValueError("no pairs to estimate from")
    middle = float(_gain(pairs))
    size = pairs.shape[1]
    if size < FEWEST:
        return Gain(without_interval(middle), "none")
    resampled = _gain(pairs[:, resamples(size, seed)])
    left_out = np.array([_gain(np.delete(pairs, index, axis=1)) for index in range(size)])
    tails = _corrected_tails(middle, resampled, left_out)
    if tails is None:
        return Gain(percentile_estimate(middle, resampled), "percentile")
    low, high = np.quantile(resampled, tails)
    return Gain(Estimate(float(low), middle, float(high)), "BCa")


def _gain(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain of each resample; the last axis has the pairs."""
    before, after = np.median(pairs, axis=-1)
    gained: NDArray[np.float64] = 100 * (1 - after / before)
    return gained


def _corrected_tails(
    middle: float, resampled: NDArray[np.float64], left_out: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Return the two quantiles of the resamples that bound the BCa interval (section 14.3)."""
    below = float(np.mean(resampled < middle) + np.mean(resampled <= middle)) / 2
    spread = left_out.mean() - left_out
    squares = float((spread**2).sum())
    if not 0 < below < 1 or squares == 0:
        return None
    normal = statistics.NormalDist()
    bias = normal.inv_cdf(below)
    acceleration = float((spread**3).sum()) / (6 * squares**1.5)

    def corrected(quantile: float) -> float:
        shifted = bias + normal.inv_cdf(quantile)
        return normal.cdf(bias + shifted / (1 - acceleration * shifted))

    return corrected(_TAIL), corrected(1 - _TAIL)
