"""Two groups that are no pairs: agent/statistics gives what scipy gives, or what can be counted."""

import itertools
import math
from statistics import median

import numpy as np
import pytest
import scipy.stats
from fakes.gains import assert_scipys
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.statistics.bootstrap import gain_of_groups
from agent.statistics.comparison import Shift, outcome
from agent.statistics.drift import drift_within
from agent.statistics.estimate import FEWEST
from agent.statistics.groups import (
    EXACT_UP_TO,
    detectable_between_groups,
    hodges_lehmann_sen,
    mann_whitney_test,
    relative_shift_of_groups,
    shift_of_groups,
)
from agent.statistics.many import adjusted, fewest_runs, level_among

CLOSE = {"rel": 1e-9, "abs": 1e-9}
TIMES = st.floats(0.001, 1000)
SIZES = st.tuples(st.integers(1, 25), st.integers(1, 25))


@st.composite
def groups(draw: st.DrawFn, fewest: int = 1, most: int = 25) -> tuple[list[float], list[float]]:
    """Return two groups of values no two of which are alike."""
    values = draw(
        st.lists(TIMES, unique=True, min_size=2 * fewest, max_size=2 * most).filter(
            lambda listed: len(listed) >= 2 * fewest
        )
    )
    cut = draw(st.integers(fewest, len(values) - fewest))
    return values[:cut], values[cut:]


# --- the test


@given(groups())
def test_the_test_of_mann_and_whitney(found: tuple[list[float], list[float]]) -> None:
    theirs = scipy.stats.mannwhitneyu(*found, method="exact").pvalue
    assert mann_whitney_test(*found) == pytest.approx(theirs, **CLOSE)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
)
def test_where_values_are_alike_it_is_the_permutation_test(
    first: list[int], second: list[int]
) -> None:
    """Counted out: all ways to choose which values are the first group's."""
    ranks = scipy.stats.rankdata([*first, *second])
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(first))]
    observed = sum(ranks[: len(first)])
    below = np.mean([total <= observed + 1e-9 for total in sums])
    above = np.mean([total >= observed - 1e-9 for total in sums])
    ours = mann_whitney_test([float(v) for v in first], [float(v) for v in second])
    assert ours == pytest.approx(min(1.0, 2 * min(below, above)), **CLOSE)


@settings(max_examples=10)
@given(
    st.lists(st.integers(0, 30), min_size=51, max_size=90),
    st.lists(st.integers(0, 30), min_size=51, max_size=90),
)
def test_of_many_runs_it_is_the_approximation_that_scipy_has(
    first: list[int], second: list[int]
) -> None:
    assert len(first) + len(second) > EXACT_UP_TO
    theirs = scipy.stats.mannwhitneyu(first, second, method="asymptotic").pvalue
    if len({*first, *second}) == 1:  # scipy 1.18 has no number for that
        theirs = 1.0
    assert mann_whitney_test(
        [float(v) for v in first], [float(v) for v in second]
    ) == pytest.approx(theirs, **CLOSE)


def test_the_approximation_is_close_to_what_is_counted() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=60), random.normal(0.4, size=60)
    counted = scipy.stats.mannwhitneyu(first, second, method="exact").pvalue
    assert mann_whitney_test(list(first), list(second)) == pytest.approx(counted, rel=0.1)


def test_values_that_are_all_alike_show_nothing() -> None:
    assert mann_whitney_test([1.0] * 8, [1.0] * 8) == 1
    assert mann_whitney_test([1.0] * 80, [1.0] * 80) == 1


# --- the estimate


@given(groups(), st.randoms())
def test_the_shift_is_the_median_of_all_differences(
    found: tuple[list[float], list[float]], random: object
) -> None:
    first, second = found
    differences = [after - before for before in first for after in second]
    assert hodges_lehmann_sen(first, second).middle == pytest.approx(
        np.median(differences), **CLOSE
    )


@settings(max_examples=25)
@given(groups(fewest=FEWEST, most=9))
def test_the_interval_is_what_the_test_does_not_reject(
    found: tuple[list[float], list[float]],
) -> None:
    first, second = found
    ours = hodges_lehmann_sen(first, second)
    gaps = np.diff(sorted(after - before for before in first for after in second))
    margin = 1e-7

    def rejected(shift: float) -> bool:
        moved = [value - shift for value in second]
        return bool(scipy.stats.mannwhitneyu(first, moved, method="exact").pvalue <= 0.05)

    if min(gaps) > 3 * margin:
        assert rejected(ours.low - margin)
        assert not rejected(ours.low + margin)
        assert not rejected(ours.high - margin)
        assert rejected(ours.high + margin)


@given(groups(fewest=FEWEST))
def test_groups_that_change_places_differ_by_the_opposite(
    found: tuple[list[float], list[float]],
) -> None:
    one, other = shift_of_groups(*found), shift_of_groups(*found[::-1])
    assert one.p == pytest.approx(other.p, **CLOSE)
    assert one.detectable == pytest.approx(other.detectable, **CLOSE)
    ours, theirs = one.estimate, other.estimate
    assert (ours.low, ours.middle, ours.high) == pytest.approx(
        (-theirs.high, -theirs.middle, -theirs.low), **CLOSE
    )


@given(groups(fewest=FEWEST))
def test_the_interval_excludes_no_shift_where_the_test_rejects_it(
    found: tuple[list[float], list[float]],
) -> None:
    shift = shift_of_groups(*found)
    assert shift.estimate.excludes(0) is (shift.p <= 0.05)


@pytest.mark.parametrize("size", [49, 60])
def test_the_interval_changes_little_where_it_becomes_an_approximation(size: int) -> None:
    random = np.random.default_rng(3)
    first, second = (list(values) for values in random.normal(size=(2, size)))
    found = hodges_lehmann_sen(first, second)

    def p(shift: float) -> float:
        moved = [value - shift for value in second]
        return float(scipy.stats.mannwhitneyu(first, moved, method="exact").pvalue)

    assert p(found.low - 1e-9) == pytest.approx(0.05, abs=0.003)
    assert p(found.high + 1e-9) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize(("few", "many"), [(5, 5), (5, 40), (1, 6)])
def test_fewer_than_six_on_a_side_have_no_interval(few: int, many: int) -> None:
    first, second = [float(n) for n in range(few)], [100.0 + n for n in range(many)]
    for found in (shift_of_groups(first, second), shift_of_groups(second, first)):
        assert not found.estimate.has_interval
        assert math.isinf(found.detectable)
        assert outcome(found, 0.01) == "too few"
    assert gain_of_groups(second, second[:5], 1).method == "none"


@given(groups(fewest=FEWEST))
def test_a_relative_shift_is_that_of_the_logarithms(
    found: tuple[list[float], list[float]],
) -> None:
    first, second = found
    ours = relative_shift_of_groups(first, second).estimate
    logs = hodges_lehmann_sen(list(np.log(first)), list(np.log(second)))
    assert math.log1p(ours.middle) == pytest.approx(logs.middle, **CLOSE)
    assert math.log1p(ours.low) == pytest.approx(logs.low, **CLOSE)
    assert math.log1p(ours.high) == pytest.approx(logs.high, **CLOSE)


def samples(effect: float, noise: float, size: int, seed: int) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(seed)
    first, second = np.exp(random.normal(0, noise, (2, size)))
    return list(first), list(second * effect)


def test_nothing_is_found_between_equals_in_19_of_20() -> None:
    found = [
        outcome(relative_shift_of_groups(*samples(1.0, 0.02, 10, seed)), 0.0) != "undecided"
        for seed in range(300)
    ]
    assert sum(found) <= 300 * 0.09


@pytest.mark.parametrize("size", [10, 20])
def test_the_detectable_effect_is_found_in_about_four_of_five(size: int) -> None:
    def shifts(effect: float, runs: int) -> list[Shift]:
        return [relative_shift_of_groups(*samples(effect, 0.02, size, n)) for n in range(runs)]

    typical = median(one.detectable for one in shifts(1.0, 100))
    found = [outcome(one, 0.0) == "larger" for one in shifts(1 + typical, 200)]
    assert 0.65 <= np.mean(found) <= 0.95


# --- the gain


@settings(max_examples=5)
@given(st.integers(0, 10**9), st.integers(FEWEST, 20), st.integers(FEWEST, 20))
def test_the_interval_of_the_gain(seed: int, few: int, many: int) -> None:
    first, second = samples(0.9, 0.05, max(few, many), seed)
    pair = first[:few], second[:many]
    ours = gain_of_groups(*pair, seed=7)
    assert_scipys(ours, pair, paired=False, seed=7)
    assert ours == gain_of_groups(*pair, seed=7)


def test_where_all_values_are_alike_the_interval_is_that_of_the_percentiles() -> None:
    found = gain_of_groups([2.0] * 8, [1.0] * 7, seed=1)
    assert found.method == "percentile"
    assert (found.estimate.low, found.estimate.middle, found.estimate.high) == (50, 50, 50)


# --- how many runs it takes


@pytest.mark.parametrize(("figures", "runs"), [(1, 6), (12, 6), (20, 6), (24, 7), (60, 7)])
def test_how_many_runs_so_many_figures_take(figures: int, runs: int) -> None:
    assert fewest_runs(figures) == runs
    for enough, size in ((True, runs), (False, runs - 1)):
        first, second = list(range(size)), [100 + n for n in range(size)]
        p = mann_whitney_test(first, second)
        found = detectable_between_groups(level_among([1.0] * (figures - 1)), first, second)
        assert math.isfinite(found) is enough
        if size >= FEWEST:
            assert (adjusted([p, *[1.0] * (figures - 1)])[0] <= 0.05) is enough


# --- the slope of several groups


@settings(max_examples=40)
@given(st.lists(st.lists(TIMES, min_size=2, max_size=12), min_size=1, max_size=3))
def test_the_slope_that_groups_have_in_common(values: list[list[float]]) -> None:
    """The median of the slopes within each group; of one group it is that of Theil and Sen."""
    found = drift_within([list(enumerate(group)) for group in values])
    slopes = [
        (group[later] - group[earlier]) / (later - earlier)
        for group in values
        for earlier, later in itertools.combinations(range(len(group)), 2)
    ]
    assert found.middle == pytest.approx(np.median(slopes), **CLOSE)
    if len(values) == 1 and len(values[0]) >= FEWEST:
        theirs = scipy.stats.theilslopes(values[0], alpha=0.95)
        assert (found.low, found.high) == pytest.approx(
            (theirs.low_slope, theirs.high_slope), **CLOSE
        )


def test_the_level_of_groups_is_no_slope() -> None:
    random = np.random.default_rng(1)
    first, second = ([(when, when + random.normal()) for when in range(10)] for _ in range(2))
    apart = [[*first], [(when + 10, value - 50) for when, value in second]]
    found = drift_within(apart)
    assert found.low < 1 < found.high
    assert found.excludes(0)


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_a_slope_is_certain_by_chance_in_one_of_twenty(drift: float) -> None:
    random = np.random.default_rng(2)
    found = [
        drift_within(
            [[(n, drift * n + random.normal()) for n in range(start, 20, 2)] for start in (0, 1)]
        )
        for _ in range(300)
    ]
    assert sum(one.excludes(drift) for one in found) <= 300 * 0.09


# --- without values


@pytest.mark.parametrize("sides", [([], [1.0]), ([1.0], []), ([], [])])
def test_nothing_is_an_error_rather_than_a_number(sides: tuple[list[float], list[float]]) -> None:
    for of in (mann_whitney_test, hodges_lehmann_sen, shift_of_groups):
        with pytest.raises(ValueError, match="no runs"):
            of(*sides)
    with pytest.raises(ValueError, match="no runs"):
        gain_of_groups(*sides, seed=1)
