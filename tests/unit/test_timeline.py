"""How a run got there: snapshots at drains, few however long the run is, and nothing invented."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import trio
from fakes.busy_runs import finished
from fakes.collector import FakeCollector
from fakes.histograms import histogram_of
from fakes.kernel_batches import KernelBatches
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import POWERS_OF_TWO_US
from agent.recording.collection import Collection
from agent.recording.timeline import INTERVAL_NS, MOST, Snapshot, Timeline, evidence
from agent.streams.drain.batches import STREAMS, OpenBatches, Records
from agent.streams.drain.folded import FoldedTables
from agent.streams.drain.poller import Drain
from agent.streams.shared.layout import STREAM_RUNQLAT

SECOND_NS = 10**9


def counts(*of_buckets: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return counts by power of two; those of the first buckets are given."""
    found = np.zeros(len(POWERS_OF_TWO_US), np.uint64)
    found[: len(of_buckets)] = of_buckets
    return found


def timeline_with(drains_ns: Sequence[int]) -> Timeline:
    """Return a timeline that was asked at each of these times, and counted events by then."""
    now_ns = 0
    timeline = Timeline(lambda: now_ns)
    timeline.begin(0)
    for drain, at_ns in enumerate(drains_ns, 1):
        now_ns = at_ns
        if timeline.is_due():
            timeline.add(drain, 0, {"runqlat": counts(drain)})
    return timeline


def end_of(drains_ns: Sequence[int]) -> Snapshot:
    at_ns = drains_ns[-1] + 1 if drains_ns else 1
    return Snapshot(at_ns, len(drains_ns), 0, {"runqlat": counts(len(drains_ns))})


gaps = st.lists(st.integers(1, 3 * SECOND_NS), max_size=600)


@given(gaps)
def test_there_are_few_snapshots_in_order_and_the_last_is_the_end(between: list[int]) -> None:
    drains_ns = np.cumsum(between, dtype=np.int64).tolist()
    end = end_of(drains_ns)
    snapshots = timeline_with(drains_ns).until(end)
    assert len(snapshots) <= MOST
    assert snapshots[-1] is end
    assert all(a.at_ns < b.at_ns and a.events <= b.events for a, b in pairwise(snapshots))


@given(gaps)
def test_each_snapshot_has_what_had_been_counted_then(between: list[int]) -> None:
    """Merging leaves snapshots out and changes none."""
    drains_ns = np.cumsum(between, dtype=np.int64).tolist()
    for snapshot in timeline_with(drains_ns).until(end_of(drains_ns))[:-1]:
        by_then = drains_ns.index(snapshot.at_ns) + 1
        assert snapshot.events == by_then
        assert snapshot.latencies["runqlat"].tolist() == counts(by_then).tolist()


@given(st.integers(1, 5_000), st.integers(0, SECOND_NS // 50))
def test_drains_a_second_apart_leave_no_gap_of_twice_the_interval(drains: int, late: int) -> None:
    """At least half of the snapshots that may be kept are, at nearly even distances."""
    drains_ns = [n * (SECOND_NS + late) for n in range(1, drains + 1)]
    snapshots = timeline_with(drains_ns).until(end_of(drains_ns))
    assert len(snapshots) >= min(drains, MOST // 2)
    distances = [b.at_ns - a.at_ns for a, b in pairwise(snapshots)]
    doubled = max(1, 2 * drains // MOST) * 2
    assert max(distances, default=0) <= (doubled + 1) * (SECOND_NS + late)


def test_the_first_drains_of_a_burst_do_not_use_up_the_snapshots() -> None:
    drains_ns = [n * 1_000_000 for n in range(1, 5_000)]
    at_ns = [s.at_ns for s in timeline_with(drains_ns).until(end_of(drains_ns))]
    assert at_ns[:-1] == [1_000_000, *(n * INTERVAL_NS for n in range(1, 5))]


def test_before_everything_is_attached_none_is_due() -> None:
    assert not Timeline(lambda: 10**12).is_due()


def test_what_came_after_the_end_is_not_in_it() -> None:
    """A run that ends by itself ended before that was noticed."""
    timeline = timeline_with([SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS])
    end = Snapshot(2 * SECOND_NS, 9, 0, {})
    assert [s.at_ns for s in timeline.until(end)] == [SECOND_NS, 2 * SECOND_NS]


def test_evidence_has_columns_of_the_buckets_that_are_not_empty_at_the_end() -> None:
    first = Snapshot(SECOND_NS, 1, 0, {"runqlat": counts(0, 1), "biolatency": counts()})
    end = Snapshot(2_500_000_000, 6, 2, {"runqlat": counts(0, 2, 0, 4), "biolatency": counts()})
    assert evidence([first, end]) == {
        "at_s": [1.0, 2.5],
        "events": [1, 6],
        "lost": [0, 2],
        "runqlat": [{"bucket_us": 1, "counts": [1, 2]}, {"bucket_us": 4, "counts": [0, 4]}],
        "biolatency": [],
    }


@given(st.lists(st.integers(0, 10**11), max_size=50))
def test_the_counts_are_those_of_the_histogram(values: list[int]) -> None:
    histogram = histogram_of(values)
    found = {
        bound: count
        for bound, count in zip(
            POWERS_OF_TWO_US, histogram.power_of_two_counts().tolist(), strict=True
        )
        if count
    }
    assert found == {row["bucket_us"]: row["count"] for row in histogram.power_of_two_buckets()}
    assert sum(found.values()) == len(values)


async def test_the_end_of_the_timeline_is_what_the_evidence_says() -> None:
    _, whole, _ = await finished(FakeCollectorWithWaits())
    timeline = whole["timeline"]
    for section in ("runqlat", "biolatency"):
        ends = [{"bucket_us": r["bucket_us"], "count": r["counts"][-1]} for r in timeline[section]]
        assert ends == whole[section]["histogram"]
    assert timeline["events"] == [whole["overhead"]["events"]]
    assert timeline["lost"] == [0]


class FakeCollectorWithWaits(FakeCollector):
    async def stop(self) -> Any:
        self.happen(1_500, 90_000)
        return await super().stop()


# --- taken at drains


class KernelReader:
    """A transport on the model of the kernel side; each wait is one interval of the drain."""

    def __init__(self, kernel: KernelBatches, waits: Callable[[], None]) -> None:
        self._kernel = kernel
        self._waits = waits

    async def wait(self) -> None:
        self._waits()
        await trio.lowlevel.checkpoint()

    def read(self, limit: int) -> Records | None:
        return self._kernel.take(limit)

    def release(self) -> None:
        pass

    def discard(self) -> None:
        pass

    def refused(self) -> int | None:
        return None


@pytest.mark.parametrize("events", [3, 1_000, 5_000])
async def test_a_drain_adds_everything_up_to_then(events: int) -> None:
    """Also what is in batches that are still open, and what the kernel side has folded."""
    kernel = KernelBatches()
    batches = OpenBatches(kernel.fd, kernel.geometry)
    folded = FoldedTables(kernel.folding.fds, kernel.geometry, batches)
    collection = Collection()
    now_ns = 0
    collection.timeline = Timeline(lambda: now_ns)
    collection.timeline.begin(0)
    seen = []

    def happen() -> None:
        nonlocal now_ns
        now_ns += INTERVAL_NS
        seen.append(len(kernel.produced[STREAM_RUNQLAT]) + len(kernel.folded[STREAM_RUNQLAT]))
        if len(seen) > 3:
            scope.cancel()
        kernel.event(STREAM_RUNQLAT, events)
        kernel.event(STREAMS + STREAM_RUNQLAT)

    drain = Drain(KernelReader(kernel, happen), batches, folded, collection)
    with trio.CancelScope() as scope:
        await drain.run(1.0)
    snapshots = collection.timeline.until(Snapshot(now_ns + 1, 0, 0, {}))[:-1]
    assert [s.at_ns for s in snapshots] == [INTERVAL_NS, 2 * INTERVAL_NS, 3 * INTERVAL_NS]
    assert [s.events for s in snapshots] == [n * (events + 1) for n in (1, 2, 3)]
    assert [int(s.latencies["runqlat"].sum()) for s in snapshots] == [s.events for s in snapshots]
    folded.close()
    batches.close()
    kernel.close()
