import math

import numpy as np
import pytest

from agent.overhead.stats import (
    is_difference,
    median_estimate,
    noise_floor,
    overhead_ratio,
    slowdown,
)
from agent.statistics.estimate import Estimate


def noisy(effect: float, size: int = 30, noise: float = 0.01, seed: int = 1) -> list[float]:
    return list(effect * (1 + np.random.default_rng(seed).normal(0, noise, size)))


def test_a_linear_drift_over_three_runs_cancels() -> None:
    assert slowdown(1.0, 1.1, 1.2) == pytest.approx(1.0)
    assert slowdown(1.0, 1.21, 1.2) == pytest.approx(1.1)


@pytest.mark.parametrize("effect", [1.02, 1.1, 1.5, 0.9])
def test_an_injected_effect_lies_in_its_interval(effect: float) -> None:
    estimate = median_estimate(noisy(effect))
    assert estimate.low < effect < estimate.high
    assert estimate.low < estimate.middle < estimate.high
    assert estimate.high - estimate.low < 0.02


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    hits = sum(
        estimate.low <= 1.1 <= estimate.high
        for seed in range(100)
        for estimate in [median_estimate(noisy(1.1, size=15, seed=seed))]
    )
    assert 88 <= hits <= 100


def test_one_outlier_does_not_move_the_median() -> None:
    values = [*noisy(1.1), 40.0]
    assert median_estimate(values).middle == pytest.approx(1.1, abs=0.01)


def test_the_bootstrap_is_deterministic() -> None:
    values = noisy(1.1, size=12)
    assert median_estimate(values) == median_estimate(values)
    series, other = dict(enumerate(values)), dict(enumerate(noisy(1.2, size=12)))
    assert overhead_ratio(series, other) == overhead_ratio(series, other)


def test_no_pairs_is_an_error_rather_than_a_number() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        median_estimate([])


def test_nothing_against_nothing_is_no_difference() -> None:
    nothing = noisy(1.0, seed=2)
    assert not is_difference(median_estimate(nothing), noise_floor(nothing))


def test_an_effect_is_a_difference_only_above_the_floor() -> None:
    estimate = median_estimate(noisy(1.1))
    assert is_difference(estimate, noise_floor(noisy(1.0, seed=2)))
    assert not is_difference(estimate, 0.2)
    assert not is_difference(Estimate(0.99, 1.05, 1.2), 0.01)


def test_ratio_of_overheads() -> None:
    ten, five = dict(enumerate(noisy(1.10, noise=0.002))), dict(enumerate(noisy(1.05, noise=0.002)))
    ratio = overhead_ratio(five, ten)
    assert ratio is not None
    assert ratio.middle == pytest.approx(0.5, abs=0.05)
    assert ratio.low < ratio.middle < ratio.high


def test_ratio_resamples_rounds_jointly() -> None:
    """Noise that both series share in a round cancels: equal series have a ratio of exactly 1."""
    series = dict(enumerate(noisy(1.1, noise=0.03)))
    assert overhead_ratio(series, dict(series)) == Estimate(1.0, 1.0, 1.0)


def test_ratio_uses_only_rounds_that_both_have() -> None:
    ratio = overhead_ratio({0: 1.2, 1: 9.0}, {0: 1.1, 2: 9.0})
    assert ratio is not None
    assert ratio.middle == pytest.approx(2.0)
    assert overhead_ratio({0: 1.2}, {1: 1.1}) is None


def test_no_ratio_over_no_overhead() -> None:
    assert overhead_ratio({0: 1.2, 1: 1.2}, {0: 0.99, 1: 1.0}) is None


def test_a_doubtful_denominator_leaves_the_interval_open() -> None:
    doubtful = dict(enumerate([0.9, 0.95, 1.01, 1.02, 1.03]))
    ratio = overhead_ratio(dict.fromkeys(range(5), 1.2), doubtful)
    assert ratio is not None
    assert math.isinf(ratio.high)


@pytest.mark.parametrize("size", range(1, 6))
def test_fewer_than_six_pairs_have_no_interval(size: int) -> None:
    values = noisy(1.5, size=size)
    estimate = median_estimate(values)
    assert not estimate.has_interval
    assert estimate.middle == np.median(values)
    assert math.isinf(noise_floor(values))
    assert not is_difference(estimate, 0.0)
    ratio = overhead_ratio(dict(enumerate(values)), dict(enumerate(noisy(1.2, size=size))))
    assert ratio is not None
    assert not ratio.has_interval
    assert math.isfinite(ratio.middle)


def test_six_pairs_have_an_interval() -> None:
    assert median_estimate(noisy(1.5, size=6)).has_interval
    few, many = dict(enumerate(noisy(1.5, size=5))), dict(enumerate(noisy(1.2, size=6)))
    ratio = overhead_ratio(few, many)
    assert ratio is not None
    assert not ratio.has_interval, "only five rounds have both"
