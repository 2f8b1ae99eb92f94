"""Buckets of Prometheus's native histograms, schema 5, made of HdrHistogram's bins.

Bucket i of schema s holds the values in (2^((i-1)/2^s), 2^(i/2^s)], so one of schema 5 is 2.19 %
wide, and a quantile that is taken as any place in its bucket is off by that at most. Values are in
microseconds, as in the names of the metrics. A bin of ours is counted in the bucket that holds its
middle: all values of a bin are within 0.05 % of it (``histogram.py``), so a value closer than that
to a bound may be counted on its other side.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agent.aggregate import hdr
from agent.aggregate.fold import bin_bounds, bin_of

SCHEMA = 5
ZERO_THRESHOLD_US = 2.0**-128
"""Values up to this are in the zero bucket: of ours, those of 0 ns. Prometheus's own default."""


def _buckets_with_bins() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the buckets that have bins, in order, and the first bin of each, counted from 1 ns."""
    lowest, width = bin_bounds(np.arange(1, bin_of(hdr.HIGHEST_NS) + 1))
    middles_us = (lowest + (width - 1) // 2) / 1000
    buckets = np.ceil(np.log2(middles_us) * 2**SCHEMA).astype(np.int64)
    first_bins = np.concatenate(([0], np.flatnonzero(np.diff(buckets)) + 1))
    return buckets[first_bins], first_bins


_BUCKETS, _FIRST_BINS = _buckets_with_bins()
_FIRST, _SIZE = int(_BUCKETS[0]), int(_BUCKETS[-1] - _BUCKETS[0]) + 1


@dataclass(frozen=True, slots=True)
class NativeCounts:
    """Counts by native bucket. Immutable, and small: only the range that is in use is kept."""

    zeros: int = 0
    """Count of the zero bucket."""
    first: int = 0
    """Index of the first bucket in ``counts``."""
    counts: bytes = b""
    """Counts of consecutive buckets, as native 64-bit integers."""

    @classmethod
    def of_bins(cls, counts: NDArray[np.uint64]) -> Self:
        """Return the counts of HdrHistogram's bins, shape (28672,), by native bucket."""
        buckets = np.zeros(_SIZE, np.uint64)
        buckets[_BUCKETS - _FIRST] = np.add.reduceat(counts[1:], _FIRST_BINS)
        used = np.flatnonzero(buckets)
        if not used.size:
            return cls(zeros=int(counts[0]))
        first, last = int(used[0]), int(used[-1])
        return cls(int(counts[0]), _FIRST + first, buckets[first : last + 1].tobytes())

    def by_bucket(self) -> NDArray[np.uint64]:
        """Return the counts of the buckets from ``first`` on; read-only."""
        return np.frombuffer(self.counts, np.uint64)

    def plus(self, later: Self) -> Self:
        """Return the counts of both, in buckets from the lowest of either."""
        mine, theirs, first = self._side_by_side(later)
        return type(self)(self.zeros + later.zeros, first, (mine + theirs).tobytes())

    def is_below(self, earlier: Self) -> bool:
        """Return whether any count is lower than that of ``earlier``."""
        mine, theirs, _ = self._side_by_side(earlier)
        return self.zeros < earlier.zeros or bool(np.any(mine < theirs))

    def spans(self) -> list[tuple[int, NDArray[np.uint64]]]:
        """Return the runs of buckets without an empty one: the first's index, and the counts."""
        counts = self.by_bucket()
        used = np.flatnonzero(counts)
        if not used.size:
            return []
        gaps = np.flatnonzero(np.diff(used) > 1) + 1
        edges = [0, *gaps.tolist(), used.size]
        places = [used[start:end] for start, end in pairwise(edges)]
        return [(self.first + int(place[0]), counts[place]) for place in places]

    def _side_by_side(
        self, other: "NativeCounts"
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64], int]:
        """Return both counts over the same buckets, and the index of the first of these."""
        mine, theirs = self.by_bucket(), other.by_bucket()
        if not mine.size or not theirs.size:
            first = self.first if mine.size else other.first
            size = mine.size + theirs.size
        else:
            first = min(self.first, other.first)
            size = max(self.first + mine.size, other.first + theirs.size) - first
        aligned = np.zeros((2, size), np.uint64)
        for row, counts, own in ((0, mine, self.first), (1, theirs, other.first)):
            start = own - first if counts.size else 0
            aligned[row, start : start + counts.size] = counts
        return aligned[0], aligned[1], first


NONE = NativeCounts()
