"""Counts by native bucket: they add up, and what has fallen is noticed."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.native import NativeCounts
from agent.aggregate.totals import LatencyTotals

LATENCIES = st.lists(st.one_of(st.integers(0, 5_000), st.integers(0, 10**11)), max_size=40)


def totals(latencies_ns: list[int]) -> LatencyTotals:
    histogram = LatencyHistogram()
    histogram.fold(np.array(latencies_ns, np.uint64))
    return histogram.totals()


def by_bucket(counts: NativeCounts) -> Counter[int]:
    """Return the counts of the spans by bucket; none of them is empty."""
    found: Counter[int] = Counter()
    for first, span in counts.spans():
        assert all(span)
        found.update({first + place: int(count) for place, count in enumerate(span)})
    return found


@given(LATENCIES, LATENCIES)
def test_counts_of_two_runs_add_up(one: list[int], other: list[int]) -> None:
    added = totals(one).native.plus(totals(other).native)
    whole = totals(one + other).native
    assert (
        by_bucket(added)
        == by_bucket(whole)
        == by_bucket(totals(one).native) + by_bucket(totals(other).native)
    )
    assert added.zeros == whole.zeros == (one + other).count(0)
    assert whole.zeros + by_bucket(whole).total() == len(one + other)


@given(LATENCIES, LATENCIES)
def test_what_has_fallen_is_below(now: list[int], earlier: list[int]) -> None:
    fallen = by_bucket(totals(earlier).native) - by_bucket(totals(now).native)
    zeros_fell = now.count(0) < earlier.count(0)
    assert totals(now).native.is_below(totals(earlier).native) == (bool(fallen) or zeros_fell)


@given(LATENCIES, LATENCIES)
def test_a_run_that_went_on_is_not_below_itself(begun: list[int], later: list[int]) -> None:
    assert totals(begun + later).not_below(totals(begun)) == totals(begun + later)
    assert not totals(begun + later).native.is_below(totals(begun).native)


def test_a_native_bucket_that_falls_keeps_the_whole_distribution() -> None:
    """Both of these are in one classic bucket, so only the native ones differ."""
    before, after = totals([1_100, 1_900]), totals([1_500, 1_500])
    assert before.bucket_counts == after.bucket_counts
    assert after.not_below(before) is before


def test_the_spans_of_neighbouring_buckets_are_one() -> None:
    bounds_us = [2 ** (index / 32) for index in range(1, 9)]
    counts = totals([int(us * 1000) - 1 for us in bounds_us]).native
    ((first, span),) = counts.spans()
    assert (first, span.tolist()) == (1, [1] * 8)


def test_the_highest_and_the_lowest_latency_have_buckets() -> None:
    counts = totals([0, 1, LatencyHistogram.HIGHEST]).native
    assert counts.zeros == 1
    # 1 ns and 100 s in microseconds, to base 2^(1/32)
    assert list(by_bucket(counts)) == [-318, 851]
