"""agent/statistics gives what scipy gives, where scipy has it, and what can be counted by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from fakes.gains import assert_scipys
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.statistics.bootstrap import gain
from agent.statistics.comparison import detectable_at, outcome, relative_shift, shift
from agent.statistics.drift import drift
from agent.statistics.estimate import FEWEST, LEVEL, detectable
from agent.statistics.many import adjusted, fewest_pairs, level_among
from agent.statistics.pairs import hodges_lehmann, sign_test, signed_rank_test
from agent.statistics.sample import median_interval, outliers, summary

CLOSE = {"rel": 1e-9, "abs": 1e-9}
TIMES = st.floats(0.001, 1000)
DIFFERENCES = st.floats(-100, 100).filter(lambda value: abs(value) > 1e-6)


def distinct(values: st.SearchStrategy[float], **sizes: int) -> st.SearchStrategy[list[float]]:
    return st.lists(values, unique_by=abs, **sizes)


# --- one sample


@given(distinct(TIMES, min_size=FEWEST, max_size=60))
def test_the_interval_of_a_median(values: list[float]) -> None:
    ours = median_interval(values)
    theirs = scipy.stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert (ours.low, ours.high) == (theirs.low, theirs.high)
    assert ours.middle == pytest.approx(np.median(values), **CLOSE)


@pytest.mark.parametrize("size", [6, 7, 8, 9, 20, 100, 1000])
def test_the_interval_of_a_median_covers_it_as_often_as_it_says(size: int) -> None:
    """The next narrower one would not."""
    ordered = [float(value) for value in range(1, size + 1)]
    rank = median_interval(ordered).low
    assert median_interval(ordered).high == size + 1 - rank
    below = scipy.stats.binom(size, 0.5).cdf
    assert 1 - 2 * below(rank - 1) >= 0.95 > 1 - 2 * below(rank)


@pytest.mark.parametrize("size", range(1, FEWEST))
def test_fewer_than_six_have_no_interval(size: int) -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0][:size]
    pairs = [values, [2 * value for value in values]]
    several = [median_interval(values), hodges_lehmann(values), gain(*pairs, seed=1).estimate]
    if size > 1:
        several.append(drift(values))
    for estimate in several:
        assert not estimate.has_interval
        assert math.isfinite(estimate.middle)
        assert math.isinf(detectable(estimate))
    assert outcome(relative_shift(*pairs), 0.01) == "too few"
    assert relative_shift(*pairs).estimate.middle == pytest.approx(1)


@given(st.lists(TIMES, min_size=2, max_size=30))
def test_the_summary_of_a_sample(values: list[float]) -> None:
    told = summary(values)
    assert told.mean == pytest.approx(np.mean(values), **CLOSE)
    assert told.deviation == pytest.approx(np.std(values, ddof=1), **CLOSE)
    assert (told.lowest, told.highest) == (min(values), max(values))


def test_one_value_has_no_deviation() -> None:
    assert summary([3.0]).deviation is None


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([50.0], ()),
        ([1000.0, 0.0], ()),
        ([-0.2, 0.0, 0.2], ()),
        ([-0.2, 0.0, 0.2, 4.0], (3,)),
        ([0.5, 0.30, 0.29, 0.31, 0.30], (0,)),
        ([*[10.0] * 7, 100.0], (7,)),
        ([*[10.0] * 7, 100.0, -100.0], (7, 8)),
    ],
)
def test_outliers_are_those_that_hyperfine_finds(
    values: list[float], found: tuple[int, ...]
) -> None:
    assert outliers(values) == found


@given(st.lists(TIMES, min_size=3, max_size=30))
def test_outliers_are_far_by_the_median_absolute_deviation(values: list[float]) -> None:
    spread = scipy.stats.median_abs_deviation(values) or np.finfo(float).eps
    scores = (np.array(values) - np.median(values)) / spread
    assert outliers(values) == tuple(np.flatnonzero(abs(scores) > 14.826))


@given(st.lists(TIMES, min_size=FEWEST, max_size=30))
def test_the_slope_over_the_runs(values: list[float]) -> None:
    ours, theirs = drift(values), scipy.stats.theilslopes(values, alpha=0.95)
    assert ours.middle == pytest.approx(theirs.slope, **CLOSE)
    assert ours.low == pytest.approx(theirs.low_slope, **CLOSE)
    assert ours.high == pytest.approx(theirs.high_slope, **CLOSE)


# --- pairs


@given(distinct(DIFFERENCES, min_size=1, max_size=40))
def test_the_signed_rank_test(differences: list[float]) -> None:
    theirs = scipy.stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_test(differences) == pytest.approx(theirs, **CLOSE)


@settings(max_examples=25)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_the_signed_rank_test_where_differences_are_alike(differences: list[int]) -> None:
    """Counted out: all ways to give the ranks a sign."""
    kept = [value for value in differences if value]
    ranks = scipy.stats.rankdata(np.abs(kept)) if kept else np.array([])
    positive = sum(ranks[np.array(kept) > 0]) if kept else 0.0
    least = min(positive, ranks.sum() - positive)
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(kept))]
    expected = min(1.0, 2 * sum(total <= least for total in sums) / len(sums))
    assert signed_rank_test([float(value) for value in differences]) == pytest.approx(expected)


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=60))
def test_the_sign_test(differences: list[int]) -> None:
    positive, size = sum(v > 0 for v in differences), sum(v != 0 for v in differences)
    theirs = scipy.stats.binomtest(positive, size).pvalue if size else 1.0
    assert sign_test([float(value) for value in differences]) == pytest.approx(theirs, **CLOSE)


@settings(max_examples=25)
@given(distinct(DIFFERENCES, min_size=FEWEST, max_size=15))
def test_the_interval_of_hodges_and_lehmann_is_what_the_test_does_not_reject(
    differences: list[float],
) -> None:
    found = hodges_lehmann(differences)
    means = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(differences, 2))
    assert found.middle == pytest.approx(np.median(means), **CLOSE)

    def rejected(shift: float) -> bool:
        moved = [value - shift for value in differences]
        return bool(scipy.stats.wilcoxon(moved, method="exact").pvalue <= 0.05)

    margin = 1e-7
    gaps = np.diff(means)
    if min(gaps, default=1) > 3 * margin:
        assert rejected(found.low - margin)
        assert not rejected(found.low + margin)
        assert not rejected(found.high - margin)
        assert rejected(found.high + margin)


@given(st.lists(st.tuples(TIMES, TIMES), min_size=FEWEST, max_size=20))
def test_a_relative_shift_is_that_of_the_logarithms(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    found = relative_shift(first, second)
    logs = hodges_lehmann(list(np.log(second) - np.log(first)))
    assert math.log1p(found.estimate.middle) == pytest.approx(logs.middle, **CLOSE)
    assert math.log1p(found.estimate.low) == pytest.approx(logs.low, **CLOSE)
    assert math.log1p(found.estimate.high) == pytest.approx(logs.high, **CLOSE)


def samples(effect: float, noise: float, size: int, seed: int) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(seed)
    first, second = np.exp(random.normal(0, noise, (2, size)))
    return list(first), list(second * effect)


def test_what_is_decided() -> None:
    def of(effect: float, noise: float = 0.01, size: int = 20) -> str:
        return outcome(relative_shift(*samples(effect, noise, size, seed=1)), 0.01)

    assert of(1.0) == "undecided"
    assert of(1.1) == "larger"
    assert of(0.9) == "smaller"
    assert of(1.005, noise=0.001) == "too small", "excludes no change, and does not matter"
    assert of(1.1, size=5) == "too few"


def test_nothing_is_found_between_equals_in_19_of_20() -> None:
    found = [
        outcome(relative_shift(*samples(1.0, 0.02, 10, seed)), 0.0) != "undecided"
        for seed in range(300)
    ]
    assert sum(found) <= 300 * 0.09


@pytest.mark.parametrize("size", [10, 20])
def test_the_detectable_effect_is_found_in_about_four_of_five(size: int) -> None:
    noise = 0.02
    typical = np.median(
        [relative_shift(*samples(1.0, noise, size, seed)).detectable for seed in range(100)]
    )
    found = [
        outcome(relative_shift(*samples(1 + typical, noise, size, seed)), 0.0) == "larger"
        for seed in range(200)
    ]
    assert 0.65 <= np.mean(found) <= 0.95


# --- the gain


@settings(max_examples=5)
@given(st.integers(0, 10**9), st.integers(FEWEST, 25))
def test_the_interval_of_the_gain(seed: int, size: int) -> None:
    pairs = samples(0.9, 0.05, size, seed)
    ours = gain(*pairs, seed=7)
    assert_scipys(ours, pairs, paired=True, seed=7)
    assert ours == gain(*pairs, seed=7)


def test_where_all_values_are_alike_the_interval_is_that_of_the_percentiles() -> None:
    found = gain([2.0] * 8, [1.0] * 8, seed=1)
    assert found.method == "percentile"
    assert (found.estimate.low, found.estimate.middle, found.estimate.high) == (50, 50, 50)


def test_the_gain_resamples_pairs_as_pairs() -> None:
    """What both runs of a pair have in common cancels out."""
    random = np.random.default_rng(3)
    before = list(np.exp(random.normal(0, 0.5, 20)))
    found = gain(before, [0.9 * value for value in before], seed=1).estimate
    assert (found.low, found.high) == (pytest.approx(10), pytest.approx(10))


# --- many at once


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_p_values_among_many(values: list[float]) -> None:
    theirs = scipy.stats.false_discovery_control(values, method="bh")
    assert adjusted(values) == pytest.approx(list(theirs), **CLOSE)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_level_among_others_is_where_adjusted_values_reach_0_05(others: list[float]) -> None:
    level = level_among(others)
    assert adjusted([level * (1 - 1e-9), *others])[0] <= LEVEL
    assert adjusted([level * (1 + 1e-9), *others])[0] > LEVEL


@pytest.mark.parametrize(("figures", "pairs"), [(1, 6), (8, 9), (12, 9), (20, 10)])
def test_how_many_pairs_so_many_figures_take(figures: int, pairs: int) -> None:
    assert fewest_pairs(figures) == pairs
    for enough, size in ((True, pairs), (False, pairs - 1)):
        p = signed_rank_test([float(n) for n in range(1, size + 1)])
        assert (adjusted([p, *[1.0] * (figures - 1)])[0] <= LEVEL) is enough
        found = detectable_at(level_among([1.0] * (figures - 1)), [0.0] * size, range(1, size + 1))
        assert math.isfinite(found) is enough


@pytest.mark.parametrize(("figures", "size"), [(8, 9), (8, 12), (20, 20)])
def test_what_is_detectable_among_many_is_found_in_about_four_of_five(
    figures: int, size: int
) -> None:
    level = level_among([1.0] * (figures - 1))
    pairs = np.random.default_rng(1).normal(size=(300, 2, size))
    typical = np.median([detectable_at(level, *pair) for pair in pairs[:100]])
    assert typical > np.median([shift(*pair).detectable for pair in pairs[:100]])
    found = [signed_rank_test(after + typical - before) <= level for before, after in pairs[100:]]
    assert 0.65 <= np.mean(found) <= 0.95


# --- without values


@pytest.mark.parametrize(
    "estimate",
    [
        median_interval,
        hodges_lehmann,
        summary,
        drift,
        lambda v: gain(v, v, 1),
        lambda v: shift(v, v),
    ],
)
def test_nothing_is_an_error_rather_than_a_number(estimate: object) -> None:
    assert callable(estimate)
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        estimate([])
