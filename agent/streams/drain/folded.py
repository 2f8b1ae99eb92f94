"""Latencies that the programs folded in the kernel, while their transport had no room (folded.h).

A run adds what the kernel's tables have grown by since the last look. Bins are u32 and may wrap
between two looks: the growth is right as long as a bin gains less than 2**32 in that time. A look
in the middle of a run is not atomic: a latency may be in the bins and not yet counted, or the other
way round, until the next look. The last look, after the programs have been detached, adds the rest.
"""

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.streams.drain.batches import OpenBatches
from agent.streams.drain.ordering import acquire_fence
from agent.streams.shared.layout import (
    DISTRIBUTIONS,
    FOLD_BINS,
    FOLD_SUMS_SIZE,
    STREAM_NAMES,
    Geometry,
)

MAPS = ("folded_bins", "folded_sums")

SUMS_DTYPE = np.dtype(
    {
        "names": ["count", "ns", "lowest", "highest", "overflow", "absent"],
        "formats": ["u8"] * 6,
        "offsets": [8 * i for i in range(6)],
        "itemsize": FOLD_SUMS_SIZE,
    }
)
"""struct folded_sums of layout.h."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What a distribution of folded latencies gained between two looks; times in ns."""

    counts: NDArray[np.uint64]
    """By bin, (FOLD_BINS,)."""
    ns: int
    """The sum of the same latencies, in the middle of a run without a few of them."""
    lowest: int
    """The extremes of all latencies folded so far in the run; without meaning if there are none."""
    highest: int
    overflow: int
    """Latencies above FOLD_HIGHEST."""
    absent: int
    """Events that have no such latency."""

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def events(self) -> int:
        return self.count + self.overflow + self.absent


FoldedSink = Callable[[int, Sequence[Growth]], None]
"""Takes a stream's number and the growth of each of its distributions, in the layout's order."""


class FoldedTables:
    """The kernel's tables in one run. Mapped once something has been folded: most runs never do."""

    def __init__(self, fds: Mapping[str, int], geometry: Geometry, batches: OpenBatches) -> None:
        """``fds``: those of MAPS, which must stay open."""
        self._fds = {name: fds[name] for name in MAPS}
        self._geometry = geometry
        self._batches = batches
        self._folded = [0] * len(STREAM_NAMES)
        """Events by stream, as of the last look."""
        self._mapped: _Mapped | None = None

    def take(self, sink: FoldedSink) -> dict[int, int]:
        """Hand over the growth of each stream that has any; return its events, by stream."""
        folded = self._batches.totals("folded")
        grown = [stream for stream, count in enumerate(folded) if count != self._folded[stream]]
        self._folded = folded
        return {stream: self._take_stream(stream, sink) for stream in grown}

    def close(self) -> None:
        """Unmap the tables."""
        if self._mapped is not None:
            self._mapped.close()
            self._mapped = None

    def _take_stream(self, stream: int, sink: FoldedSink) -> int:
        if self._mapped is None:
            self._mapped = _Mapped(self._fds, self._geometry)
        growths = list(self._mapped.growths(STREAM_NAMES[stream]))
        sink(stream, growths)
        # each event is in every distribution of its stream, if only as absent
        return growths[0].events


class _Mapped:
    """The tables in this process's memory, and what they held at the last look."""

    def __init__(self, fds: Mapping[str, int], geometry: Geometry) -> None:
        sizes = geometry.map_sizes()
        self._memory = {
            name: mmap.mmap(fds[name], sizes[name], mmap.MAP_SHARED, mmap.PROT_READ)
            for name in MAPS
        }
        self._bins = np.frombuffer(self._memory["folded_bins"], np.uint32).reshape(-1, FOLD_BINS)
        sums = np.frombuffer(self._memory["folded_sums"], SUMS_DTYPE)
        self._sums = sums.reshape(geometry.cpus, len(DISTRIBUTIONS))
        self._tables = geometry.tables_of_bins()
        self._fence = acquire_fence()
        self._last_bins: dict[int, NDArray[np.uint32]] = {}
        self._last_sums = np.zeros(len(DISTRIBUTIONS), SUMS_DTYPE)

    def growths(self, stream: str) -> Iterator[Growth]:
        for distribution, (owner, _) in enumerate(DISTRIBUTIONS):
            if owner == stream:
                yield self._growth(distribution)

    def close(self) -> None:
        del self._bins, self._sums
        for memory in self._memory.values():
            memory.close()

    def _growth(self, distribution: int) -> Growth:
        tables = self._tables[distribution]
        self._fence()
        bins = self._bins[tables.start : tables.stop].copy()
        self._fence()
        sums = self._sums[:, distribution].copy()
        last = self._last_bins.get(distribution, np.zeros_like(bins))
        self._last_bins[distribution] = bins
        return Growth(
            counts=(bins - last).sum(axis=0, dtype=np.uint64),
            lowest=int(sums["lowest"][sums["count"] > 0].min(initial=np.iinfo(np.uint64).max)),
            highest=int(sums["highest"].max()),
            **{
                name: self._grown(distribution, name, sums) for name in ("ns", "overflow", "absent")
            },
        )

    def _grown(self, distribution: int, field: str, sums: NDArray[np.void]) -> int:
        total = int(sums[field].sum())
        grown = total - int(self._last_sums[field][distribution])
        self._last_sums[field][distribution] = total
        return grown
