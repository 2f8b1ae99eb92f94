"""Percentiles are nearest-rank, within 0.1 % of the sorted samples, and exact at both ends."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram

QUANTILES = (0.0, 1e-6, 0.001, 0.01, 0.07, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1)
SIZES = (1, 2, 3, 10, 99, 1000, 20_000, 1_000_000)
HIGHEST = LatencyHistogram.HIGHEST
BOUND = 1e-3


def two_modes(rng, size):
    return np.where(rng.random(size) < 0.9, rng.normal(3e3, 200, size), rng.normal(4e6, 1e5, size))


DISTRIBUTIONS = {
    "constant": lambda rng, size: np.full(size, 123_457),
    "all zero": lambda rng, size: np.zeros(size),
    "uniform, small": lambda rng, size: rng.integers(0, 3000, size),
    "uniform, whole range": lambda rng, size: rng.integers(0, HIGHEST + 1, size),
    "exponential": lambda rng, size: rng.exponential(50_000, size),
    "lognormal": lambda rng, size: rng.lognormal(9, 2, size),
    "normal": lambda rng, size: rng.normal(1e6, 1e4, size),
    "pareto": lambda rng, size: 1000 * (1 + rng.pareto(0.8, size)),
    "two modes": two_modes,
    "powers of two": lambda rng, size: 2 ** rng.integers(0, 37, size),
    "just below powers of two": lambda rng, size: 2 ** rng.integers(1, 37, size) - 1,
    "log-uniform": lambda rng, size: 10 ** rng.uniform(0, 11, size),
    "ascending": lambda rng, size: np.arange(size) * 1009,
    "one outlier": lambda rng, size: np.where(np.arange(size) == size // 2, HIGHEST, 700),
    "ticks of 4 ms": lambda rng, size: 4_000_000 * rng.integers(1, 50, size),
    "gamma": lambda rng, size: rng.gamma(2.0, 8000, size),
}


def rank(quantile, size):
    return max(1, ceil(Fraction(str(quantile)) * size))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_percentile_is_within_the_bound(name):
    rng = np.random.default_rng(len(name))
    for size in SIZES:
        samples = np.clip(DISTRIBUTIONS[name](rng, size), 0, HIGHEST).astype(np.uint64)
        histogram = LatencyHistogram()
        histogram.fold(samples)
        samples.sort()
        exact = [int(samples[rank(quantile, size) - 1]) for quantile in QUANTILES]
        assert histogram.percentiles_ns(QUANTILES) == pytest.approx(exact, rel=BOUND, abs=0)
        assert histogram.percentile_ns(0) == samples[0]
        assert histogram.percentile_ns(1) == samples[-1]


@given(
    st.lists(st.integers(0, HIGHEST), min_size=1, max_size=100),
    st.lists(st.floats(0, 1), min_size=1, max_size=10),
)
def test_any_quantile_of_any_samples(numbers, quantiles):
    histogram = LatencyHistogram()
    histogram.fold(np.array(numbers, np.uint64))
    numbers.sort()
    exact = [numbers[rank(quantile, len(numbers)) - 1] for quantile in quantiles]
    assert histogram.percentiles_ns(quantiles) == pytest.approx(exact, rel=BOUND, abs=0)
    ascending = histogram.percentiles_ns(sorted(quantiles))
    assert ascending == sorted(ascending)


def test_a_quantile_means_its_decimal_form():
    assert ceil(0.07 * 100) == 8, "otherwise this test proves nothing"
    histogram = LatencyHistogram()
    histogram.fold(np.arange(1, 101, dtype=np.uint64))
    assert histogram.percentile_ns(0.07) == 7


def test_percentiles_of_nothing_are_none():
    assert LatencyHistogram().percentiles_ns([0, 0.5, 1]) == [None, None, None]


@pytest.mark.parametrize("quantile", [-0.1, 1.01, 95, float("nan")])
def test_a_quantile_outside_0_to_1_is_refused(quantile):
    with pytest.raises(ValueError, match="from 0 to 1"):
        LatencyHistogram().percentile_ns(quantile)
