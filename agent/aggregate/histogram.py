"""Latency distributions: HdrHistogram's counts, filled and read with numpy.

Error: a bin of width w begins at 1024 w or above (or w is 1), and its middle represents all of
its values, so a percentile is off by less than 1/2048 = 0.05 % of itself. Counts, sum, minimum
and maximum are exact. Memory: 224 KiB of counts, however many values are folded, and 256 KiB of
scratch for each thread that folds (``agent.aggregate.fold``).
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agent.aggregate import hdr
from agent.aggregate.fold import ALL_BITS, Latencies, bin_bounds, bin_of, chunks, to_bins
from agent.aggregate.native import NativeCounts
from agent.aggregate.totals import LATENCY_BOUNDS_US, LatencyTotals

SUMMARY_QUANTILES = {"p50_us": 0.5, "p90_us": 0.9, "p95_us": 0.95, "p99_us": 0.99, "p999_us": 0.999}

_ONE = np.array(1, np.uint64)
POWERS_OF_TWO_US = (0, *(2**k for k in range((hdr.HIGHEST_NS // 1000).bit_length())))
"""Lower bounds of the buckets by power of two; the first bucket holds what is below 1 µs."""
_FIRST_BINS = np.array([bin_of(1000 * us) for us in POWERS_OF_TWO_US])
"""The bin at which each of them begins: 1000 * 2**k always begins a bin."""


class LatencyHistogram:
    """Latencies of 0 ns to 100 s. Belongs to one thread at a time."""

    HIGHEST = hdr.HIGHEST_NS

    def __init__(self) -> None:
        self._adopt(hdr.new_hdr())
        self.total_count = 0
        """Values folded, without the overflow."""
        self.sum_ns = 0
        """The exact sum of the same values."""
        self.overflow = 0
        """Values above ``HIGHEST``: counted here and nowhere else."""
        self._min_ns = self.HIGHEST
        self._max_ns = 0

    def _adopt(self, histogram: hdr.Hdr) -> None:
        self._hdr = histogram
        self.counts: NDArray[np.uint64] = np.frombuffer(histogram.counts, np.uint64)

    @property
    def min_ns(self) -> int | None:
        return self._min_ns if self.total_count else None

    @property
    def max_ns(self) -> int | None:
        return self._max_ns if self.total_count else None

    def fold(self, values: Latencies, mask: int = ALL_BITS) -> None:
        """Count every ``value & mask``, in nanoseconds; keep no reference to ``values``.

        Accepts any shape and strides, read-only or not. Values above ``HIGHEST`` go to
        ``overflow``, and so do negative ones. Raises TypeError for types other than 64-bit
        integers.
        """
        for chunk in chunks(values, mask):
            highest = int(np.maximum.reduce(chunk))
            if highest > self.HIGHEST:
                self._count_up_to_highest(chunk)
            else:
                self._count(chunk, highest)

    def _count_up_to_highest(self, chunk: NDArray[np.uint64]) -> None:
        kept = chunk[chunk <= self.HIGHEST]
        self.overflow += chunk.size - kept.size
        if kept.size:
            self._count(kept, int(np.maximum.reduce(kept)))

    def _count(self, chunk: NDArray[np.uint64], highest: int) -> None:
        # 2**15 values below 2**37 add up to less than 2**64.
        self.sum_ns += int(np.add.reduce(chunk))
        self._widen(int(np.minimum.reduce(chunk)), highest)
        self.total_count += chunk.size
        np.add.at(self.counts, to_bins(chunk), _ONE)

    def _widen(self, low: int, high: int) -> None:
        self._min_ns = min(self._min_ns, low)
        self._max_ns = max(self._max_ns, high)

    def merge(self, other: "LatencyHistogram") -> None:
        """Add everything that ``other`` has counted."""
        self.counts += other.counts
        self.total_count += other.total_count
        self.sum_ns += other.sum_ns
        self.overflow += other.overflow
        self._widen(other._min_ns, other._max_ns)

    def add(
        self, counts: NDArray[np.uint64], sum_ns: int, lowest: int, highest: int, overflow: int = 0
    ) -> None:
        """Add latencies that were folded elsewhere, into the same bins.

        ``counts``: latencies by bin, shape (28672,). ``sum_ns`` is their sum; ``lowest`` and
        ``highest`` are their extremes, or those of a larger set that this histogram will contain in
        the end. They are without meaning if there are none.
        """
        added = int(counts.sum())
        self.overflow += overflow
        self.sum_ns += sum_ns
        if added:
            self.counts += counts
            self.total_count += added
            self._widen(lowest, highest)

    def copy(self) -> "LatencyHistogram":
        """Return an independent copy: values folded later do not appear in it."""
        twin = LatencyHistogram()
        twin.merge(self)
        return twin

    def percentiles_ns(self, quantiles: Sequence[float]) -> list[int | None]:
        """Return the nearest-rank percentile of each quantile (0 to 1), within 0.05 %.

        It is None if there are no values. The rank is ``ceil(q * count)``, at least 1; the first
        and the last rank are exact. ``q`` stands for its shortest decimal form: 0.07 of 100 samples
        is rank 7, which floating point would make 8.
        Raises ValueError for a quantile outside 0 to 1.
        """
        if not all(0 <= q <= 1 for q in quantiles):
            raise ValueError(f"quantiles must be from 0 to 1: {list(quantiles)}")
        if not self.total_count:
            return [None] * len(quantiles)
        ranks = [_rank(q, self.total_count) for q in quantiles]
        return [
            self._value_at(rank, middle)
            for rank, middle in zip(ranks, self._middles_at(ranks), strict=True)
        ]

    def percentile_ns(self, quantile: float) -> int | None:
        """Return the percentile of one quantile; see ``percentiles_ns``."""
        return self.percentiles_ns([quantile])[0]

    def _middles_at(self, ranks: list[int]) -> list[int]:
        first = bin_of(self._min_ns)
        cumulative = np.cumsum(self.counts[first : bin_of(self._max_ns) + 1])
        bins = first + np.searchsorted(cumulative, np.array(ranks, np.uint64))
        lowest, width = bin_bounds(bins)
        middles: list[int] = (lowest + (width - 1) // 2).tolist()
        return middles

    def _value_at(self, rank: int, middle: int) -> int:
        if rank == 1:
            return self._min_ns
        if rank == self.total_count:
            return self._max_ns
        return min(max(middle, self._min_ns), self._max_ns)

    def power_of_two_buckets(self) -> list[dict[str, int]]:
        """Return counts by power of two microseconds, by lower bound, without empty buckets.

        ``bucket_us`` n holds n to 2 n microseconds; 0 holds values below 1. The bounds are exact.
        """
        counts = self.power_of_two_counts().tolist()
        return [
            {"bucket_us": bound, "count": count}
            for bound, count in zip(POWERS_OF_TWO_US, counts, strict=True)
            if count
        ]

    def power_of_two_counts(self) -> NDArray[np.uint64]:
        """Return the count of each bucket of ``POWERS_OF_TWO_US``, in that order."""
        counts: NDArray[np.uint64] = np.add.reduceat(self.counts, _FIRST_BINS)
        return counts

    def totals(self) -> LatencyTotals:
        """Return the exported buckets: values up to and including each bound, at bin resolution.

        A value that is above a bound by less than 0.1 % may share the bound's bin; it is then
        counted as if it were at the bound.
        """
        past_bounds = _FIRST_BINS[1 : 1 + len(LATENCY_BOUNDS_US)] + 1
        counts = np.add.reduceat(self.counts, np.concatenate(([0], past_bounds)))
        native = NativeCounts.of_bins(self.counts)
        return LatencyTotals(tuple(counts.tolist()), self.sum_ns / 1000, self.total_count, native)

    def summary(self) -> dict[str, Any]:
        """Return count, extremes, mean and percentiles in microseconds; None if no values."""
        quantiles = self.percentiles_ns(tuple(SUMMARY_QUANTILES.values()))
        mean_ns = self.sum_ns / self.total_count if self.total_count else None
        return {
            "count": self.total_count,
            "min_us": _us(self.min_ns),
            **dict(zip(SUMMARY_QUANTILES, map(_us, quantiles), strict=True)),
            "max_us": _us(self.max_ns),
            "mean_us": _us(mean_ns),
        }

    def encode(self) -> str:
        """Return HdrHistogram V2 in base64; it contains neither the overflow nor the sum."""
        self._hdr.total_count = self.total_count
        # The library encodes the bins up to the one that holds its maximum, and no more.
        self._hdr.max_value = self._max_ns
        return self._hdr.encode().decode("ascii")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Return what ``encode`` encoded; sum, minimum and maximum come from bin middles.

        Raises ValueError for anything else, and for a different range or precision.
        """
        histogram = cls()
        histogram._adopt(hdr.decode_hdr(encoded))
        bins = np.flatnonzero(histogram.counts)
        if bins.size:
            lowest, width = bin_bounds(bins)
            middles = (lowest + (width - 1) // 2).tolist()
            counts = histogram.counts[bins].tolist()
            histogram.total_count = sum(counts)
            histogram.sum_ns = sum(v * n for v, n in zip(middles, counts, strict=True))
            histogram._widen(middles[0], middles[-1])
        return histogram


def _rank(quantile: float, count: int) -> int:
    above, below = _ratio(quantile)
    return max(1, -(-above * count // below))


@lru_cache
def _ratio(quantile: float) -> tuple[int, int]:
    """Return the numerator and denominator of the shortest decimal form of a quantile."""
    return Fraction(str(quantile)).as_integer_ratio()


def _us(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1000
