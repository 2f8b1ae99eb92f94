"""Block I/O by device and operation: sums over all requests, and counts as in diskstats."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.tasks import TaskTable
from agent.sections.biolatency.evidence import BiolatencyFold
from agent.sections.biolatency.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_EMPTY,
    BLOCK_FLUSH,
    BLOCK_IN_FLIGHT,
    BLOCK_OPERATIONS,
    BLOCK_READ,
    BLOCK_UNISSUED,
    BLOCK_WRITE,
)
from agent.sections.biolatency.requests_table import MAX_ROWS, BlockTable, device_name
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge, KernelCounts
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_UNKNOWN

SDA = 8 << 20
NVME = 259 << 20 | 3

Event = tuple[int, int, int, int, int]
"""Kind, device time in ns, time with the queue in ns, device, bytes."""

events = st.lists(
    st.tuples(
        st.sampled_from(
            [BLOCK_READ, BLOCK_WRITE, BLOCK_WRITE | BLOCK_EMPTY, BLOCK_FLUSH, 3]
        ).flatmap(
            lambda op: st.sampled_from(
                [op, op | BLOCK_BY_KERNEL, op | BLOCK_IN_FLIGHT, op | BLOCK_UNISSUED]
            )
        ),
        st.integers(0, 10**10),
        st.one_of(st.integers(0, 10**10), st.just(LATENCY_UNKNOWN)),
        st.sampled_from([SDA, NVME]),
        st.integers(0, 2**32),
    ),
    max_size=50,
)


def words(made: list[Event]) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Encode events in four words each, as block.c writes them."""
    rows = [
        (ns | kind << LATENCY_BITS, with_queue, device, size)
        for kind, ns, with_queue, device, size in made
    ]
    return np.array(rows, np.uint64).reshape(-1, 4)


def collected(made: list[Event], scoped: bool = False) -> BiolatencyFold:
    fold = BiolatencyFold(scoped, TaskTable())
    if made:
        fold.take(words(made))
    return fold


@given(events, st.booleans())
def test_rows_add_up_to_all_requests_and_those_that_are_timed_to_the_count(
    made: list[Event], scoped: bool
) -> None:
    fold = collected(made, scoped)
    rows = fold.table.evidence()
    assert sum(row["count"] for row in rows) == len(made)
    assert sum(row["bytes"] for row in rows) == sum(event[4] for event in made)
    timed = [
        row["count"]
        for row in rows
        if not row["in_flight_at_start"]
        and not row["empty"]
        and not (scoped and row["by"] == "kernel_threads")
    ]
    assert sum(timed) == fold.device.total_count
    assert all(row["queue_ms"] >= 0 and row["device_ms"] >= 0 for row in rows)


@given(events)
def test_by_device_and_operation_they_are_what_was_completed(made: list[Event]) -> None:
    block = collected(made).table
    for device in block.devices():
        expected = Counter(BLOCK_OPERATIONS[e[0] & 7] for e in made if e[3] == device)
        assert +Counter(block.completed(device)) == expected


def test_queue_and_device_time_are_apart() -> None:
    block = collected([(BLOCK_READ, 2_000_000, 5_000_000, SDA, 4096)]).table
    (row,) = block.evidence()
    assert (row["device"], row["operation"], row["by"]) == ("8:0", "read", "tasks")
    assert (row["device_ms"], row["queue_ms"]) == (2, 3)


def test_a_write_that_carries_a_flush_completes_twice_and_its_second_is_a_row_apart() -> None:
    made = [(BLOCK_WRITE, 10, 20, SDA, 4096), (BLOCK_WRITE | BLOCK_EMPTY, 10, 20, SDA, 0)]
    block = collected(made).table
    assert block.completed(SDA)["write"] == 2
    assert [(row["empty"], row["count"]) for row in block.evidence()] == [(False, 1), (True, 1)]


def test_devices_without_end_share_a_row() -> None:
    made = [(BLOCK_READ, 10, 20, number, 512) for number in range(MAX_ROWS + 100)]
    block = collected(made).table
    rows = block.evidence()
    assert len(rows) == MAX_ROWS + 1
    assert sum(row["count"] for row in rows) == len(made)
    assert [row["count"] for row in rows if row["device"] == "other"] == [100]


def test_devices_are_numbered_as_the_kernel_does() -> None:
    assert device_name(NVME) == "259:3"


def test_an_empty_table() -> None:
    assert BlockTable().evidence() == []
    assert BlockTable().devices() == []


def growth(*latencies: int, absent: int = 0) -> Growth:
    histogram = LatencyHistogram()
    histogram.fold(np.array(latencies, np.uint64))
    return Growth(
        counts=histogram.counts,
        ns=histogram.sum_ns,
        lowest=histogram.min_ns or 0,
        highest=histogram.max_ns or 0,
        overflow=histogram.overflow,
        absent=absent,
    )


def edges() -> tuple[Edge, Edge]:
    """Return the edges of a run in which the kernel counted a read of NVME."""
    before = Edge(KernelCounts(), 0, 0, 0, "0", {"biolatency": {"read_259:3": 7}})
    return before, Edge(KernelCounts(), 0, 0, 0, "0", {"biolatency": {"read_259:3": 8}})


def test_requests_folded_in_the_kernel_are_in_both_distributions_and_in_no_row() -> None:
    fold = collected([(BLOCK_READ, 2_000, 5_000, NVME, 4096)])
    assert [check.passed for check in fold.checks(edges(), Accounts())] == [True]
    fold.take_folded([growth(3_000, 4_000, absent=1), growth(6_000, absent=2)])
    assert (fold.device.total_count, fold.device.sum_ns) == (3, 9_000)
    assert (fold.with_queue.total_count, fold.with_queue.max_ns) == (2, 6_000)
    assert sum(row["count"] for row in fold.table.evidence()) == 1
    # whose they were is not known, so nothing can be compared by device
    assert list(fold.checks(edges(), Accounts())) == []
