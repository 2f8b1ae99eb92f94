"""Requests that had been issued and had not completed at the stop of a run."""

import mmap
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agent.sections.biolatency.disk_readings import DiskReadings
from agent.sections.biolatency.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_DISCARD,
    BLOCK_FLUSH,
    BLOCK_OPERATION,
    BLOCK_OPERATIONS,
    BLOCK_OTHER_WRITE,
    BLOCK_WRITE,
    REQUEST_SIZE,
)
from agent.sections.biolatency.requests_table import device_name
from agent.streams.collect.task_summaries import command
from agent.words import Json

REQUEST_DTYPE = np.dtype(
    {
        "names": ["key", "since", "kind", "tid", "device", "comm"],
        "formats": ["u8", "u8", "u4", "u4", "u4", "S16"],
        "offsets": [0, 8, 16, 20, 24, 32],
        "itemsize": REQUEST_SIZE,
    }
)
"""struct issued_request of requests.h."""

WRITES = (BLOCK_WRITE, BLOCK_DISCARD, BLOCK_OTHER_WRITE)
"""Operations that the kernel counts as writes while they are in flight."""

Requests = NDArray[np.void]


def open_requests(
    table: mmap.mmap | bytes, stop_ns: int, disks: Mapping[str, DiskReadings]
) -> Requests:
    """Return what had been issued by the stop, the oldest first, as far as the kernel has it too.

    A kernel may run no program at a completion (docs/explanation/error-bounds.md); the request then
    stays in the table until its address is used again. So of each disk and direction, only as many
    are taken as the kernel says are in flight: the youngest.
    """
    requests: Requests = np.frombuffer(table, REQUEST_DTYPE)
    issued = (requests["since"] != 0) & (requests["since"] <= stop_ns)
    requests = requests[(requests["key"] != 0) & issued]
    requests = requests[np.argsort(requests["since"])]
    groups: dict[tuple[int, str], list[int]] = {}
    for index, request in enumerate(requests):
        group = (int(request["device"]), _direction(int(request["kind"])))
        groups.setdefault(group, []).append(index)
    kept = [i for group, found in groups.items() for i in found[_surplus(group, found, disks) :]]
    chosen: Requests = requests[sorted(kept)]
    return chosen


FIELDS = ("device", "operation", "by", "tid", "command", "age_ms")


def evidence(requests: Requests, stop_ns: int) -> Json:
    """Return the number of open requests, and the oldest; its fields are null if there is none."""
    return {
        "count": len(requests),
        "oldest": _described(requests[0], stop_ns) if len(requests) else dict.fromkeys(FIELDS),
    }


def _described(request: np.void, stop_ns: int) -> Json:
    kind = int(request["kind"])
    return {
        "device": device_name(int(request["device"])),
        "operation": BLOCK_OPERATIONS[kind & BLOCK_OPERATION],
        "by": "kernel_threads" if kind & BLOCK_BY_KERNEL else "tasks",
        "tid": int(request["tid"]),
        "command": command(request["comm"]),
        "age_ms": max(0, stop_ns - int(request["since"])) / 1e6,
    }


def _direction(kind: int) -> str:
    operation = kind & BLOCK_OPERATION
    if operation == BLOCK_FLUSH:
        return "flush"
    return "write" if operation in WRITES else "read"


def _surplus(group: tuple[int, str], found: list[int], disks: Mapping[str, DiskReadings]) -> int:
    """Return how many of a group the kernel does not have; it does not count flushes in flight."""
    device, direction = group
    if direction == "flush" or not disks:
        return 0
    readings = disks.get(device_name(device))
    most = readings.most_in_flight_at_stop(direction) if readings else 0
    return max(0, len(found) - (most or 0))
