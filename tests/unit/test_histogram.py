"""LatencyHistogram counts what the scalar library counts, and reports the rest as overflow."""

import gc
import mmap
import weakref
from itertools import chain

import numpy as np
import pytest
from fakes.histograms import content, histogram_of
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.fold import CHUNK
from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.totals import LATENCY_BOUNDS_US

HIGHEST = LatencyHistogram.HIGHEST

latencies = st.lists(
    st.one_of(
        st.integers(0, HIGHEST),
        st.integers(0, 5_000_000),
        st.integers(0, 3000),
        st.sampled_from([0, 1, 1000, 2000, 524_288_000, HIGHEST]),
    ),
    max_size=60,
)


@given(latencies)
def test_counts_and_total_are_those_of_record_value(numbers):
    reference = HdrHistogram(1, HIGHEST, 3)
    for number in numbers:
        assert reference.record_value(number)
    histogram = histogram_of(numbers)
    assert histogram.counts.tolist() == list(reference.counts)
    assert histogram.total_count == reference.total_count


@given(latencies.filter(bool))
def test_sum_and_extremes_are_exact(numbers):
    histogram = histogram_of(numbers)
    assert histogram.sum_ns == sum(numbers)
    assert (histogram.min_ns, histogram.max_ns) == (min(numbers), max(numbers))


@given(st.lists(latencies, max_size=5))
def test_batches_add_up(batches):
    histogram = LatencyHistogram()
    for batch in batches:
        histogram.fold(np.array(batch, np.uint64))
    assert content(histogram) == content(histogram_of(list(chain.from_iterable(batches))))


def test_the_sum_does_not_wrap():
    values = np.full(CHUNK, HIGHEST, np.uint64)
    histogram = LatencyHistogram()
    histogram.fold(values)
    for _ in range(14):
        histogram.merge(histogram.copy())
    histogram.fold(values)
    assert histogram.sum_ns == (2**14 + 1) * CHUNK * HIGHEST
    assert histogram.sum_ns > 2**64, "otherwise this test proves nothing"


@given(latencies, st.lists(st.integers(HIGHEST + 1, 2**64 - 1), max_size=10), st.randoms())
def test_what_is_too_long_is_counted_as_overflow_and_nowhere_else(numbers, too_long, random):
    mixed = [*numbers, *too_long]
    random.shuffle(mixed)
    histogram = histogram_of(mixed)
    assert histogram.overflow == len(too_long)
    histogram.overflow = 0
    assert content(histogram) == content(histogram_of(numbers))


def test_overflow_in_some_of_many_blocks():
    values = np.full(3 * CHUNK, 5, np.uint64)
    values[CHUNK : CHUNK + 10] = HIGHEST + 1
    histogram = LatencyHistogram()
    histogram.fold(values)
    assert (histogram.overflow, histogram.total_count) == (10, 3 * CHUNK - 10)
    assert histogram.max_ns == 5


def test_negative_values_are_overflow():
    histogram = LatencyHistogram()
    histogram.fold(np.array([-1, 3, -(2**63)], np.int64))
    assert (histogram.overflow, histogram.total_count, histogram.sum_ns) == (2, 1, 3)


@given(latencies.filter(bool))
def test_the_mask_takes_the_latency_out_of_a_packed_word(numbers):
    words = np.array(numbers, np.uint64) | np.uint64(0x7F << 37)
    histogram = LatencyHistogram()
    histogram.fold(words, mask=2**37 - 1)
    assert content(histogram) == content(histogram_of(numbers))


def test_rows_of_a_strided_read_only_view_are_counted():
    table = np.arange(40 * 257, dtype=np.uint64).reshape(40, 257)
    table.flags.writeable = False
    histogram = LatencyHistogram()
    histogram.fold(table[:, 1:])
    assert content(histogram) == content(histogram_of(table[:, 1:].ravel().tolist()))


@pytest.mark.parametrize("values", [[1, 2, 3], [HIGHEST + 1, 5]], ids=["plain", "with overflow"])
def test_no_view_of_the_ring_outlives_its_fold(values):
    ring = mmap.mmap(-1, 4096)
    words = np.frombuffer(ring, np.uint64)
    words[: len(values)] = values
    histogram = LatencyHistogram()
    histogram.fold(words)
    with pytest.raises(BufferError):
        ring.close()
    del words
    ring.close()
    assert histogram.total_count + histogram.overflow == 512


@given(latencies)
def test_the_reference_library_decodes_the_same_counts(numbers):
    histogram = histogram_of(numbers)
    decoded = HdrHistogram.decode(histogram.encode())
    assert list(decoded.counts) == histogram.counts.tolist()
    assert decoded.get_total_count() == len(numbers)
    if numbers:
        assert decoded.get_max_value() >= max(numbers)


def test_encoding_follows_what_is_folded_after_it():
    histogram = histogram_of([5])
    histogram.encode()
    histogram.fold(np.array([10**9], np.uint64))
    decoded = HdrHistogram.decode(histogram.encode())
    assert decoded.get_total_count() == 2
    assert decoded.values_are_equivalent(decoded.get_max_value(), 10**9)


@given(latencies)
def test_our_decode_keeps_the_counts_and_approximates_the_rest(numbers):
    histogram = histogram_of(numbers)
    decoded = LatencyHistogram.decode(histogram.encode())
    assert decoded.counts.tolist() == histogram.counts.tolist()
    assert decoded.total_count == len(numbers)
    assert decoded.sum_ns == pytest.approx(sum(numbers), rel=1 / 2048)
    if numbers:
        assert decoded.min_ns == pytest.approx(min(numbers), rel=1 / 2048)
        assert decoded.max_ns == pytest.approx(max(numbers), rel=1 / 2048)


def test_a_decoded_histogram_can_be_folded_into_and_encoded_again():
    decoded = LatencyHistogram.decode(histogram_of([7, 9]).encode())
    decoded.fold(np.array([10**6], np.uint64))
    assert decoded.encode() == histogram_of([7, 9, 10**6]).encode()


@pytest.mark.parametrize("text", ["", "####", "AAAA", "é", "HISTFAAAAAAAAAAA"])
def test_what_is_no_histogram_is_refused(text):
    with pytest.raises(ValueError, match="not an encoded"):
        LatencyHistogram.decode(text)


def test_a_histogram_of_another_range_is_refused():
    with pytest.raises(ValueError, match="not our range"):
        LatencyHistogram.decode(HdrHistogram(1, 1000, 2).encode().decode())


def test_counts_beyond_the_range_that_the_header_claims_are_refused():
    longer = HdrHistogram(1, 2**40, 3)
    longer.record_value(2**39)
    longer.encoder.payload.payload.highest_trackable_value = HIGHEST
    with pytest.raises(ValueError, match="not an encoded"):
        LatencyHistogram.decode(longer.encode().decode())


def test_a_truncated_encoding_is_refused():
    with pytest.raises(ValueError, match="not an encoded"):
        LatencyHistogram.decode(histogram_of([1, 2, 10**6]).encode()[:40])


@pytest.mark.parametrize(
    "made", [LatencyHistogram, lambda: LatencyHistogram.decode(histogram_of([5]).encode())]
)
def test_its_memory_goes_with_the_last_reference(made):
    gc.disable()  # it looks for cycles once in many objects, of whatever size
    try:
        histogram = made()
        histogram.fold(np.array([7], np.uint64))
        histogram.encode()
        library = weakref.ref(histogram._hdr)
        del histogram
        assert library() is None
    finally:
        gc.enable()


@given(latencies, latencies)
def test_merging_is_folding_both(mine, theirs):
    histogram, other = histogram_of(mine), histogram_of([*theirs, HIGHEST + 1])
    histogram.merge(other)
    together = histogram_of([*mine, *theirs, HIGHEST + 1])
    assert content(histogram) == content(together)
    assert histogram.encode() == together.encode()
    assert content(other) == content(histogram_of([*theirs, HIGHEST + 1]))


def test_a_copy_is_independent_of_its_original():
    histogram = histogram_of([5, HIGHEST + 1])
    snapshot = histogram.copy()
    before = content(snapshot)
    histogram.fold(np.array([1, 10**6], np.uint64))
    assert content(snapshot) == before == content(histogram_of([5, HIGHEST + 1]))
    snapshot.fold(np.array([77], np.uint64))
    assert histogram.total_count == 3


def lower_bound_us(number):
    microseconds = number // 1000
    return 0 if microseconds == 0 else 1 << (microseconds.bit_length() - 1)


@given(latencies)
def test_power_of_two_buckets_are_exact(numbers):
    expected = {}
    for number in numbers:
        expected[lower_bound_us(number)] = expected.get(lower_bound_us(number), 0) + 1
    buckets = histogram_of(numbers).power_of_two_buckets()
    assert buckets == [{"bucket_us": b, "count": n} for b, n in sorted(expected.items())]


@pytest.mark.parametrize("bound", [1, 2, 1024, 2**19, 2**26])
def test_a_power_of_two_begins_its_bucket(bound):
    buckets = histogram_of([1000 * bound - 1, 1000 * bound]).power_of_two_buckets()
    assert buckets == [
        {"bucket_us": bound // 2, "count": 1},
        {"bucket_us": bound, "count": 1},
    ]


@given(latencies)
def test_totals_lie_between_the_exact_bounds_and_those_a_slot_wider(numbers):
    totals = histogram_of(numbers).totals()
    assert (len(totals.bucket_counts), totals.count) == (21, len(numbers))
    assert totals.sum_us == sum(numbers) / 1000
    assert sum(totals.bucket_counts) == len(numbers)
    for index, bound in enumerate(LATENCY_BOUNDS_US):
        cumulative = sum(totals.bucket_counts[: index + 1])
        assert cumulative >= sum(number <= 1000 * bound for number in numbers)
        assert cumulative <= sum(number < 1000 * bound * 1.001 for number in numbers)


@pytest.mark.parametrize("index", range(20))
def test_a_bound_of_the_totals_includes_itself_and_not_0_1_percent_more(index):
    bound_ns = 1000 * LATENCY_BOUNDS_US[index]
    totals = histogram_of([bound_ns, int(bound_ns * 1.001) + 1]).totals()
    assert (totals.bucket_counts[index], totals.bucket_counts[index + 1]) == (1, 1)


def test_summary_is_in_microseconds():
    assert histogram_of([1000 * n for n in range(1, 1001)]).summary() == {
        "count": 1000,
        "min_us": 1.0,
        "p50_us": pytest.approx(500, rel=5e-4),
        "p90_us": pytest.approx(900, rel=5e-4),
        "p95_us": pytest.approx(950, rel=5e-4),
        "p99_us": pytest.approx(990, rel=5e-4),
        "p999_us": pytest.approx(999, rel=5e-4),
        "max_us": 1000.0,
        "mean_us": 500.5,
    }


def test_a_summary_of_nothing_invents_nothing():
    summary = LatencyHistogram().summary()
    assert summary.pop("count") == 0
    assert set(summary.values()) == {None}
