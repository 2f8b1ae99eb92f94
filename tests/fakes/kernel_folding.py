"""A model of probes/folded.h that executes one store at a time."""

import mmap
import os
from collections.abc import Iterator

import numpy as np

from agent.aggregate.fold import bin_of
from agent.streams.drain.folded import MAPS, SUMS_DTYPE
from agent.streams.shared.layout import DISTRIBUTIONS, FOLD_BINS, FOLD_HIGHEST, Geometry


class KernelFolding:
    """The tables of folded latencies, in memory that `FoldedTables` maps."""

    def __init__(self, geometry: Geometry) -> None:
        sizes = geometry.map_sizes()
        self.fds = {name: os.memfd_create(name) for name in MAPS}
        for name, fd in self.fds.items():
            os.truncate(fd, sizes[name])
        self._memory = {name: mmap.mmap(fd, sizes[name]) for name, fd in self.fds.items()}
        self.bins = np.frombuffer(self._memory["folded_bins"], np.uint32).reshape(-1, FOLD_BINS)
        sums = np.frombuffer(self._memory["folded_sums"], SUMS_DTYPE)
        self.sums = sums.reshape(geometry.cpus, len(DISTRIBUTIONS))
        self._tables = geometry.tables_of_bins()

    def fold(self, cpu: int, distribution: int, ns: int) -> Iterator[None]:
        """Execute fold(); each yield is between two stores."""
        sums = self.sums[cpu, distribution]
        if ns > FOLD_HIGHEST:
            sums["overflow"] += 1
            return
        if sums["count"] == 0 or ns < sums["lowest"]:
            sums["lowest"] = ns
            yield
        if ns > sums["highest"]:
            sums["highest"] = ns
            yield
        sums["ns"] += ns
        yield
        sums["count"] += 1
        yield
        tables = self._tables[distribution]
        bins = self.bins[tables.start + cpu % len(tables)]
        bins[bin_of(ns)] = (int(bins[bin_of(ns)]) + 1) % 2**32

    def close(self) -> None:
        del self.bins, self.sums
        for memory in self._memory.values():
            memory.close()
        for fd in self.fds.values():
            os.close(fd)
