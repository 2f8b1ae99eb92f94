"""Block I/O by device and operation: sums over all requests, and counts as in diskstats."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.tasks import TaskTable
from agent.sections.biolatency import left_out
from agent.sections.biolatency.evidence import BiolatencyFold
from agent.sections.biolatency.layout import (
    BLOCK_BIO,
    BLOCK_BY_KERNEL,
    BLOCK_BY_UNKNOWN,
    BLOCK_EMPTY,
    BLOCK_ERRNO,
    BLOCK_ERROR_SHIFT,
    BLOCK_FLUSH,
    BLOCK_IN_DISKSTATS,
    BLOCK_IN_FLIGHT,
    BLOCK_OTHER_READ,
    BLOCK_OTHER_WRITE,
    BLOCK_READ,
    BLOCK_STATISTICS,
    BLOCK_UNISSUED,
    BLOCK_UNTIMED,
    BLOCK_WRITE,
)
from agent.sections.biolatency.requests_table import MAX_ROWS, BlockTable, device_name
from agent.sections.biolatency.stacking import Stacking
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge, KernelCounts
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_UNKNOWN

SDA = 8 << 20
NVME = 259 << 20 | 3

Event = tuple[int, int, int, int, int]
"""Kind, device time in ns, time with the queue in ns, device, bytes."""

MOST_EVENTS = 50
EIO = 10 << BLOCK_ERROR_SHIFT

operations = st.sampled_from(
    [
        BLOCK_READ,
        BLOCK_WRITE,
        BLOCK_WRITE | BLOCK_EMPTY,
        BLOCK_FLUSH,
        3,
        BLOCK_OTHER_READ,
        BLOCK_OTHER_WRITE,
    ]
)
flags = st.sampled_from(
    [
        0,
        BLOCK_BY_KERNEL,
        BLOCK_IN_FLIGHT,
        BLOCK_UNISSUED,
        BLOCK_IN_DISKSTATS,
        BLOCK_BY_UNKNOWN | BLOCK_IN_FLIGHT,
        BLOCK_UNTIMED,
        BLOCK_BIO,
        EIO,
        EIO | BLOCK_IN_DISKSTATS,
    ]
)
events = st.lists(
    st.tuples(
        st.tuples(operations, flags).map(lambda pair: pair[0] | pair[1]),
        st.integers(0, 10**10),
        st.one_of(st.integers(0, 10**10), st.just(LATENCY_UNKNOWN)),
        st.sampled_from([SDA, NVME]),
        st.integers(0, 2**32),
    ),
    max_size=MOST_EVENTS,
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
def test_rows_add_up_to_all_requests_and_those_in_the_histogram_to_its_count(
    made: list[Event], scoped: bool
) -> None:
    fold = collected(made, scoped)
    rows = fold.table.evidence(scoped)
    assert sum(row["count"] for row in rows) == len(made)
    succeeded = [event for event in made if event[0] < 1 << BLOCK_ERROR_SHIFT]
    assert sum(row["bytes"] for row in rows) == sum(event[4] for event in succeeded)
    timed = [row for row in rows if row["in_histogram"]]
    assert sum(row["count"] for row in timed) == fold.device.total_count
    assert all(row["queue_ms"] >= 0 and row["device_ms"] >= 0 for row in rows)


@given(events, st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_every_request_is_in_the_histogram_or_left_out_for_one_reason(
    made: list[Event], scoped: bool, excluded: int, folded: int
) -> None:
    fold = collected(made, scoped)
    reasons = dict(left_out.left_out(fold.table, scoped, excluded, folded))
    requests = sum(found.requests for found in reasons.values())
    assert fold.device.total_count + requests == len(made) + excluded + folded
    assert all(found.requests for found in reasons.values())
    timed = [row for row in left_out.evidence(reasons) if row["device_ms"] is not None]
    apart = [row for row in fold.table.evidence(scoped) if not row["in_histogram"]]
    assert sum(row["device_ms"] for row in timed) <= sum(row["device_ms"] for row in apart) + 1e-3
    assert not {row["reason"] for row in timed} & {"other_tasks", "folded", "issued_before"}


@pytest.mark.parametrize(
    ("kind", "scoped", "reason"),
    [
        (BLOCK_WRITE | BLOCK_EMPTY, False, "without_data"),
        (BLOCK_WRITE | BLOCK_EMPTY | BLOCK_BY_KERNEL, False, "without_data"),
        (BLOCK_WRITE | BLOCK_EMPTY | BLOCK_BY_KERNEL, True, "kernel_threads"),
        (BLOCK_FLUSH | BLOCK_BY_KERNEL, True, "kernel_threads"),
        (BLOCK_WRITE | BLOCK_BY_KERNEL | EIO, True, "failed"),
        (BLOCK_READ | BLOCK_BY_UNKNOWN | BLOCK_IN_FLIGHT, True, "issued_before"),
        (BLOCK_READ | BLOCK_UNTIMED, False, "untimed"),
    ],
)
def test_the_reason_for_leaving_a_request_out(kind: int, scoped: bool, reason: str) -> None:
    fold = collected([(kind, 10, 20, SDA, 0)], scoped)
    assert [*dict(left_out.left_out(fold.table, scoped, 0, 0))] == [reason]


@given(events)
def test_what_diskstats_counts_is_compared_by_its_own_classes(made: list[Event]) -> None:
    block = collected(made).table
    for device in block.devices():
        counted = (e[0] for e in made if e[3] == device and e[0] & BLOCK_IN_DISKSTATS)
        expected = Counter(BLOCK_STATISTICS[kind & 7] for kind in counted)
        assert +Counter(block.completed(device)) == expected
    assert not any(block.completed(None).values())


def test_queue_and_device_time_are_apart() -> None:
    block = collected([(BLOCK_READ, 2_000_000, 5_000_000, SDA, 4096)]).table
    (row,) = block.evidence(False)
    assert (row["device"], row["operation"], row["by"]) == ("8:0", "read", "tasks")
    assert (row["device_ms"], row["queue_ms"]) == (2, 3)


def test_of_a_write_that_completes_twice_diskstats_counts_the_second_completion() -> None:
    end = BLOCK_WRITE | BLOCK_EMPTY | BLOCK_IN_DISKSTATS
    block = collected([(BLOCK_WRITE, 10, 20, SDA, 4096), (end, 10, 20, SDA, 0)]).table
    assert block.completed(SDA)["write"] == 1
    rows = [(row["empty"], row["in_diskstats"], row["count"]) for row in block.evidence(False)]
    assert rows == [(False, False, 1), (True, True, 1)]


def test_what_failed_is_apart_by_its_error_and_transferred_nothing() -> None:
    made = [
        (BLOCK_WRITE, 10, 20, SDA, 4096),
        (BLOCK_WRITE | EIO, 10, 20, SDA, 4096),
        (BLOCK_WRITE | 28 << BLOCK_ERROR_SHIFT | BLOCK_ERRNO, 10, 20, SDA, 4096),
        (BLOCK_WRITE | 77 << BLOCK_ERROR_SHIFT, 10, 20, SDA, 4096),
    ]
    fold = collected(made)
    rows = {row["error"]: (row["count"], row["bytes"]) for row in fold.table.evidence(False)}
    expected = {None: (1, 4096), "EIO": (1, 0), "ENOSPC": (1, 0), "status_77": (1, 0)}
    assert rows == expected
    assert fold.device.total_count == 1


def test_what_a_driver_counts_of_bios_is_not_compared() -> None:
    (row,) = collected([(BLOCK_READ | BLOCK_BIO, 10, 10, SDA, 4096)]).table.evidence(False)
    assert (row["in_diskstats"], row["in_histogram"]) == (None, True)


class Stacked(Stacking):
    """A stacking in which one disk lies on another."""

    def below(self, device: str) -> tuple[str, ...]:
        return (device_name(NVME),) if device == device_name(SDA) else ()


@pytest.mark.parametrize(("scoped", "counted"), [(False, [False, True]), (True, [True, True])])
def test_for_the_whole_machine_the_lowest_disk_counts(scoped: bool, counted: list[bool]) -> None:
    fold = BiolatencyFold(scoped, TaskTable())
    fold.stacking = Stacked()
    fold.take(words([(BLOCK_READ, 10, 20, SDA, 4096), (BLOCK_READ, 10, 20, NVME, 4096)]))
    assert [row["in_histogram"] for row in fold.table.evidence(scoped)] == counted
    assert fold.device.total_count == sum(counted)


def test_devices_without_end_share_a_row() -> None:
    made = [(BLOCK_READ, 10, 20, number, 512) for number in range(MAX_ROWS + 100)]
    block = collected(made).table
    rows = block.evidence(False)
    assert len(rows) == MAX_ROWS + 1
    assert sum(row["count"] for row in rows) == len(made)
    assert [row["count"] for row in rows if row["device"] == "other"] == [100]


def test_devices_are_numbered_as_the_kernel_does() -> None:
    assert device_name(NVME) == "259:3"


def test_an_empty_table() -> None:
    assert BlockTable().evidence(False) == []
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
    return edge(7), edge(8)


def edge(reads: int) -> Edge:
    counts = {**dict.fromkeys(("write", "discard", "flush"), 0), "read": reads}
    figures = {f"{name}_259:3": count for name, count in counts.items()}
    return Edge(KernelCounts(), 0, 0, 0, "0", {"biolatency": figures})


def test_requests_folded_in_the_kernel_are_in_both_distributions_and_in_no_row() -> None:
    fold = collected([(BLOCK_READ | BLOCK_IN_DISKSTATS, 2_000, 5_000, NVME, 4096)])
    assert [check.passed for check in fold.checks(edges(), Accounts())] == [True]
    fold.take_folded("biolatency", [growth(3_000, 4_000, absent=1), growth(6_000, absent=2)])
    assert (fold.device.total_count, fold.device.sum_ns) == (3, 9_000)
    assert (fold.with_queue.total_count, fold.with_queue.max_ns) == (2, 6_000)
    assert sum(row["count"] for row in fold.table.evidence(False)) == 1
    fold.take_folded("bios", [growth(7_000)])
    assert (fold.device.total_count, fold.with_queue.total_count) == (4, 3)
    # whose they were is not known, so nothing can be compared by device
    assert list(fold.checks(edges(), Accounts())) == []
    lost = fold.lost_by_folding()
    assert lost.keys() == {"biolatency", "bios"}
    assert "1 of them in no histogram" in lost["biolatency"]
    assert all(text.endswith("the block_ checks were left out") for text in lost.values())


def test_a_failed_check_names_process_1_only_if_that_ran() -> None:
    for switches, told in ((None, False), (5, False), (9, True)):
        began = replace(edge(7), process_1_switches=5)
        ended = replace(edge(99), process_1_switches=switches)
        [check] = collected([]).checks((began, ended), Accounts())
        assert not check.passed
        assert "Take the counts and times of this disk as uncertain" in check.text
        assert ("Process 1 ran 4 times" in check.text) == told


def test_a_scoped_run_has_no_checks_of_disks_that_folding_could_prevent() -> None:
    fold = collected([], scoped=True)
    fold.take_folded("biolatency", [growth(3_000), growth(6_000)])
    assert fold.lost_by_folding() == {
        "biolatency": "their device, operation and size are not known"
    }
