"""Requests in flight at the stop: those of the table that the kernel has too."""

import numpy as np

from agent.sections.biolatency.disk_readings import DiskReadings
from agent.sections.biolatency.layout import BLOCK_BY_KERNEL, BLOCK_FLUSH, BLOCK_READ, BLOCK_WRITE
from agent.sections.biolatency.open_requests import REQUEST_DTYPE, evidence, open_requests

SDA = 8 << 20
STOP = 1_000_000_000


def table(*requests: tuple[int, int, int]) -> bytes:
    """Return a table of requests (kind, time of issue, thread id), with free entries between."""
    entries = np.zeros(2 * len(requests), REQUEST_DTYPE)
    for entry, (kind, since, tid) in zip(entries[::2], requests, strict=True):
        entry["key"], entry["kind"], entry["since"], entry["tid"] = 7, kind, since, tid
        entry["device"], entry["comm"] = SDA, b"writer"
    return entries.tobytes()


def disks(reads: int, writes: int) -> dict[str, DiskReadings]:
    counts = dict.fromkeys(("read", "write", "discard", "flush"), 0)
    at_stop = {**counts, "in_flight_read": reads, "in_flight_write": writes}
    return {"8:0": DiskReadings(counts, counts, at_stop, counts)}


def threads(memory: bytes, kernel: dict[str, DiskReadings]) -> list[int]:
    return [int(request["tid"]) for request in open_requests(memory, STOP, kernel)]


def test_the_oldest_comes_first_and_is_described() -> None:
    memory = table((BLOCK_READ, 900, 1), (BLOCK_WRITE | BLOCK_BY_KERNEL, 600, 2))
    found = open_requests(memory, STOP, disks(1, 1))
    assert evidence(found, STOP) == {
        "count": 2,
        "oldest": {
            "device": "8:0",
            "operation": "write",
            "by": "kernel_threads",
            "tid": 2,
            "command": "writer",
            "age_ms": (STOP - 600) / 1e6,
        },
    }


def test_without_any_each_field_of_the_oldest_is_null() -> None:
    found = evidence(open_requests(table(), STOP, disks(0, 0)), STOP)
    assert found["count"] == 0
    assert set(found["oldest"].values()) == {None}


def test_what_was_not_issued_by_the_stop_is_not_open() -> None:
    memory = table((BLOCK_WRITE, 0, 1), (BLOCK_WRITE, STOP + 1, 2), (BLOCK_WRITE, STOP, 3))
    assert threads(memory, disks(9, 9)) == [3]


def test_an_entry_whose_completion_was_not_seen_is_not_open() -> None:
    memory = table((BLOCK_WRITE, 100, 1), (BLOCK_WRITE, 900, 2), (BLOCK_READ, 500, 3))
    assert threads(memory, disks(0, 1)) == [2]
    assert threads(memory, disks(1, 2)) == [1, 3, 2]
    assert threads(memory, {"9:9": disks(1, 2)["8:0"]}) == []


def test_where_the_kernel_does_not_say_the_table_stands() -> None:
    memory = table((BLOCK_WRITE, 100, 1), (BLOCK_FLUSH, 200, 2))
    assert threads(memory, {}) == [1, 2]
    assert threads(memory, disks(0, 0)) == [2], "flushes in flight are not counted by the kernel"
