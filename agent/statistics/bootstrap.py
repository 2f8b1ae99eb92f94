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
    before, after = _samples(baseline, optimized)
    size = before.size
    middle = float(_gain(before, after))
    if size < FEWEST:
        return Gain(without_interval(middle), "none")
    drawn = resamples(size, seed)
    left_out = _gain(_without_each(before), _without_each(after))
    return _bounded(middle, _gain(before[drawn], after[drawn]), [left_out])


def gain_of_groups(baseline: Sequence[float], optimized: Sequence[float], seed: int) -> Gain:
    """Return the same for two samples that are not pairs: each is resampled separately.

    The acceleration of the BCa interval is that of several samples, as `scipy.stats.bootstrap` has
    it. Raises ValueError if a sample is empty.
    """
    before, after = _samples(baseline, optimized)
    middle = float(_gain(before, after))
    if min(before.size, after.size) < FEWEST:
        return Gain(without_interval(middle), "none")
    random = np.random.default_rng(seed)
    first, second = (
        sample[random.integers(0, sample.size, size=(RESAMPLES, sample.size))]
        for sample in (before, after)
    )
    left_out = [_gain(_without_each(before), after), _gain(before, _without_each(after))]
    return _bounded(middle, _gain(first, second), left_out)


def _samples(*values: Sequence[float]) -> list[NDArray[np.float64]]:
    if not all(len(one) for one in values):
        raise ValueError("no runs to estimate from")
    return [np.array(one, dtype=np.float64) for one in values]


def _without_each(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sample without its first value, without its second, and so on, by rows."""
    return np.array([np.delete(sample, index) for index in range(sample.size)])


def _gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain of each resample; the last axis has the runs."""
    ratios = np.median(after, axis=-1) / np.median(before, axis=-1)
    gained: NDArray[np.float64] = 100 * (1 - ratios)
    return gained


def _bounded(
    middle: float, resampled: NDArray[np.float64], left_out: Sequence[NDArray[np.float64]]
) -> Gain:
    tails = _corrected_tails(middle, resampled, left_out)
    if tails is None:
        return Gain(percentile_estimate(middle, resampled), "percentile")
    low, high = np.quantile(resampled, tails)
    return Gain(Estimate(float(low), middle, float(high)), "BCa")


def _corrected_tails(
    middle: float, resampled: NDArray[np.float64], left_out: Sequence[NDArray[np.float64]]
) -> tuple[float, float] | None:
    """Return the two quantiles of the resamples that bound the BCa interval (section 14.3).

    ``left_out`` has one array for each sample: what is found without each of its values.
    """
    below = float(np.mean(resampled < middle) + np.mean(resampled <= middle)) / 2
    influences = [(one.size - 1) / one.size * (one.mean() - one) for one in left_out]
    squares = sum(float((one**2).sum()) for one in influences)
    if not 0 < below < 1 or squares == 0:
        return None
    normal = statistics.NormalDist()
    bias = normal.inv_cdf(below)
    acceleration = sum(float((one**3).sum()) for one in influences) / (6 * squares**1.5)

    def corrected(quantile: float) -> float:
        shifted = bias + normal.inv_cdf(quantile)
        return normal.cdf(bias + shifted / (1 - acceleration * shifted))

    return corrected(_TAIL), corrected(1 - _TAIL)
