"""Latencies folded in the kernel are added once, whenever the agent looks."""

import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from fakes.histograms import content, histogram_of
from fakes.kernel_batches import FOLDED_PER_ATTEMPT, KernelBatches
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate import hdr
from agent.aggregate.fold import bin_of
from agent.aggregate.histogram import LatencyHistogram
from agent.streams.drain.batches import STREAMS, Ledger, OpenBatches, Words
from agent.streams.drain.folded import FoldedTables, Growth
from agent.streams.shared.layout import (
    BATCH_WORDS,
    DISTRIBUTIONS,
    FOLD_BINS,
    FOLD_HIGHEST,
    LATENCY_MAX,
    MAPS_BYTES,
    STREAM_NAMES,
    STREAM_RUNQLAT,
    machine_geometry,
)

RUNQLAT = [name for name, _ in DISTRIBUTIONS].index("runqlat")
FOLDABLE = [n for n, name in enumerate(STREAM_NAMES) if name in dict(DISTRIBUTIONS)]

latencies = st.lists(
    st.one_of(st.integers(0, FOLD_HIGHEST + 10), st.integers(0, 5_000), st.just(FOLD_HIGHEST)),
    max_size=40,
)


class Added:
    """The histograms of each stream's distributions, as the agent adds to them."""

    def __init__(self) -> None:
        self.histograms = {
            stream: [
                LatencyHistogram() for owner, _ in DISTRIBUTIONS if owner == STREAM_NAMES[stream]
            ]
            for stream in range(STREAMS)
        }
        self.absent = 0

    def take(self, stream: int, growths: Sequence[Growth]) -> None:
        for histogram, growth in zip(self.histograms[stream], growths, strict=True):
            histogram.add(growth.counts, growth.ns, growth.lowest, growth.highest, growth.overflow)
            self.absent += growth.absent


@pytest.fixture
def tables(kernel: KernelBatches, batches: OpenBatches) -> Iterator[FoldedTables]:
    tables = FoldedTables(kernel.folding.fds, kernel.geometry, batches)
    yield tables
    tables.close()


def fold(kernel: KernelBatches, cpu: int, *values: int) -> None:
    """Fold run-queue waits on a CPU."""
    for ns in values:
        for _ in kernel.folding.fold(cpu, RUNQLAT, ns):
            pass
        kernel.rows["folded"][cpu * STREAMS + STREAM_RUNQLAT] += 1


def test_the_bins_are_those_of_the_histogram() -> None:
    assert len(LatencyHistogram().counts) == FOLD_BINS
    assert hdr.HIGHEST_NS == FOLD_HIGHEST
    assert FOLD_HIGHEST <= LATENCY_MAX
    assert bin_of(LATENCY_MAX) < FOLD_BINS, "5.10 loads no program that looks for a later bin"


@given(st.lists(latencies, max_size=5), st.lists(latencies, max_size=5))
def test_folded_elsewhere_or_here_is_the_same(
    here: list[list[int]], elsewhere: list[list[int]]
) -> None:
    """Each list is folded by another histogram, and added."""
    histogram = LatencyHistogram()
    for values in here:
        histogram.fold(np.array(values, np.uint64))
    for values in elsewhere:
        other = histogram_of(values)
        lowest, highest = other.min_ns or 0, other.max_ns or 0
        histogram.add(other.counts, other.sum_ns, lowest, highest, other.overflow)
    assert content(histogram) == content(histogram_of(list(chain(*here, *elsewhere))))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), latencies), max_size=6))
def test_what_the_tables_grew_by_is_what_was_folded(looks: list[tuple[int, list[int]]]) -> None:
    kernel = KernelBatches()
    batches = OpenBatches(kernel.fd, kernel.geometry)
    tables = FoldedTables(kernel.folding.fds, kernel.geometry, batches)
    added = Added()
    for cpu, values in looks:
        fold(kernel, cpu, *values)
        events = tables.take(added.take)
        assert events == ({STREAM_RUNQLAT: len(values)} if values else {})
    expected = histogram_of([ns for _, values in looks for ns in values])
    assert content(added.histograms[STREAM_RUNQLAT][0]) == content(expected)
    tables.close()
    batches.close()
    kernel.close()


def test_a_bin_may_wrap_between_two_looks(kernel: KernelBatches, tables: FoldedTables) -> None:
    added = Added()
    before = 2**32 - 2
    kernel.folding.bins[0, 5] = before
    fold(kernel, 0, 5)
    tables.take(added.take)
    fold(kernel, 0, 5, 5, 5)
    assert kernel.folding.bins[0, 5] == 2
    tables.take(added.take)
    assert added.histograms[STREAM_RUNQLAT][0].total_count == before + 4


def test_a_look_between_any_two_stores_counts_nothing_twice(
    kernel: KernelBatches, tables: FoldedTables
) -> None:
    added = Added()
    (histogram,) = added.histograms[STREAM_RUNQLAT]
    values = [70, 3, 9_000, FOLD_HIGHEST + 1, 3, 10**9]
    for ns in values:
        for _ in kernel.folding.fold(1, RUNQLAT, ns):
            # an earlier look may have been provoked by an event of another CPU
            kernel.rows["folded"][STREAM_RUNQLAT] += 1
            tables.take(added.take)
            used = np.flatnonzero(histogram.counts)
            if used.size:
                assert histogram.min_ns is not None
                assert histogram.max_ns is not None
                assert bin_of(histogram.min_ns) <= used[0]
                assert bin_of(histogram.max_ns) >= used[-1]
    kernel.rows["folded"][STREAM_RUNQLAT] += 1
    tables.take(added.take)
    assert content(histogram) == content(histogram_of(values))


def test_events_without_a_latency_are_events(kernel: KernelBatches, tables: FoldedTables) -> None:
    fold(kernel, 0, 5)
    kernel.folding.sums["absent"][1, RUNQLAT] += 3
    added = Added()
    assert tables.take(added.take) == {STREAM_RUNQLAT: 4}
    assert added.absent == 3


def test_nothing_is_mapped_before_something_is_folded(
    kernel: KernelBatches, batches: OpenBatches, tables: FoldedTables
) -> None:
    def mapped() -> int:
        """Return the mappings of the bins beyond the model's own."""
        names = Path("/proc/self/maps").read_text().count("/memfd:folded_bins")
        return names - 1

    tables.take(Added().take)
    assert mapped() == 0
    fold(kernel, 0, 5)
    tables.take(Added().take)
    assert mapped() == 1
    tables.close()
    assert mapped() == 0


def test_cpus_share_tables_where_there_are_more() -> None:
    kernel = KernelBatches(cpus=32)
    batches = OpenBatches(kernel.fd, kernel.geometry)
    tables = FoldedTables(kernel.folding.fds, kernel.geometry, batches)
    assert len(kernel.folding.bins) < 32
    for cpu in range(32):
        fold(kernel, cpu, 1_000 + cpu)
    added = Added()
    assert tables.take(added.take) == {STREAM_RUNQLAT: 32}
    expected = histogram_of(range(1_000, 1_032))
    assert content(added.histograms[STREAM_RUNQLAT][0]) == content(expected)
    tables.close()
    batches.close()
    kernel.close()


class Agent:
    """The agent's side of one CPU's streams, which looks in various ways and at any moment."""

    def __init__(self, kernel: KernelBatches, dice: random.Random) -> None:
        self._kernel, self._dice = kernel, dice
        self.batches = OpenBatches(kernel.fd, kernel.geometry)
        self.tables = FoldedTables(kernel.folding.fds, kernel.geometry, self.batches)
        self.ledger, self.added = Ledger(len(kernel.rows)), Added()

    def look(self) -> None:
        if self._dice.random() < 0.5:
            self._take_records()
        self.ledger.note_folded(self.tables.take(self.added.take))
        if self._dice.random() < 0.3:
            self.ledger.take_open(self.batches, nowhere)

    def finish(self) -> None:
        while self._kernel.records:
            self._take_records()
        self.ledger.note_folded(self.tables.take(self.added.take))
        self.ledger.take_open(self.batches, nowhere)

    def close(self) -> None:
        self.tables.close()
        self.batches.close()

    def _take_records(self) -> None:
        records = self._kernel.take(self._dice.randrange(1, 4))
        if records is not None:
            self.ledger.take_records(records, nowhere)


def nowhere(stream: int, words: Words) -> None:
    """A sink for events that were streamed."""


@settings(max_examples=50)
@given(seed=st.integers(0, 1 << 32), room=st.integers(0, 6))
def test_any_interleaving_adds_each_event_once(seed: int, room: int) -> None:
    """Records, open batches and folded events, with looks between any two stores."""
    dice = random.Random(seed)
    kernel = KernelBatches(cpus=1, room=room)
    agent = Agent(kernel, dice)
    for _ in range(10):
        for row in FOLDABLE:
            kernel.event(row, dice.choice([1, kernel.events_left(row), 3 * FOLDED_PER_ATTEMPT]))
            for _ in range(dice.randrange(12)):
                kernel.step(row)
        agent.look()
    kernel.finish()
    agent.finish()
    for stream in FOLDABLE:
        assert agent.ledger.folded[stream] == len(kernel.folded[stream])
        assert agent.ledger.received[stream] == agent.batches.produced()[stream]
        for histogram in agent.added.histograms[stream]:
            assert content(histogram) == content(histogram_of(kernel.folded[stream]))
    agent.close()
    kernel.close()


def test_a_full_batch_is_handed_over_again_after_a_while(kernel: KernelBatches) -> None:
    kernel.room = 0
    kernel.event(STREAM_RUNQLAT, BATCH_WORDS + 1)
    kernel.room = 1
    kernel.event(STREAM_RUNQLAT, FOLDED_PER_ATTEMPT - 1)
    assert not kernel.records
    kernel.event(STREAM_RUNQLAT)
    assert len(kernel.records) == 1
    assert len(kernel.folded[STREAM_RUNQLAT]) == FOLDED_PER_ATTEMPT


@pytest.mark.parametrize("pid_max", [32_768, 4_194_304])
@pytest.mark.parametrize("cpus", [1, 2, 8, 16, 32, 64])
def test_all_maps_stay_within_the_target(cpus: int, pid_max: int) -> None:
    geometry = machine_geometry(cpus, pid_max)
    assert geometry.maps_bytes() <= MAPS_BYTES
    assert geometry.ring_bytes & (geometry.ring_bytes - 1) == 0
