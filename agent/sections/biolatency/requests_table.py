"""Block I/O by device and operation, with separate queue time and device time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.sections.biolatency.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_EMPTY,
    BLOCK_IN_FLIGHT,
    BLOCK_OPERATION,
    BLOCK_OPERATIONS,
)
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import LATENCY_MAX

MAX_ROWS = 256
OTHER_DEVICE = -1
FLAGS = BLOCK_EMPTY | BLOCK_BY_KERNEL | BLOCK_IN_FLIGHT
MINOR_BITS = 20

Key = tuple[int, int]
"""(device number, operation and those FLAGS that are set)"""


@dataclass(slots=True)
class _Row:
    count: int = 0
    device_ns: int = 0
    total_ns: int = 0
    bytes: int = 0


@dataclass(slots=True)
class BlockTable:
    """Sums over completed requests. Beyond MAX_ROWS rows, further devices are added up as one."""

    rows: dict[Key, _Row] = field(default_factory=dict)

    def take(self, events: Words, kinds: Words) -> None:
        """Add events of 4 words (layout.py); ``kinds`` is the upper part of the first.

        At most 65,536 events at once: their sums are then below 2**53, and so exact as float64.
        """
        devices = events[:, 2]
        rows = (kinds & np.uint64(FLAGS | BLOCK_OPERATION)).view(np.int64)
        for device in _distinct(devices):
            same = devices == device
            if same.all():
                self._take_device(device, events, rows)
            else:
                self._take_device(device, events[same], rows[same])

    def _take_device(self, device: int, events: Words, rows: NDArray[np.int64]) -> None:
        device_ns = events[:, 0] & np.uint64(LATENCY_MAX)
        total_ns = events[:, 1]
        timed = total_ns <= LATENCY_MAX
        if not timed.all():
            device_ns, total_ns = device_ns * timed, total_ns * timed
        counts = np.bincount(rows)
        sums = [np.bincount(rows, weights=w) for w in (device_ns, total_ns, events[:, 3])]
        for kind in np.flatnonzero(counts).tolist():
            row = self._row((device, kind))
            row.count += int(counts[kind])
            row.device_ns += int(sums[0][kind])
            row.total_ns += int(sums[1][kind])
            row.bytes += int(sums[2][kind])

    def completed(self, device: int) -> dict[str, int]:
        """Return one device's completions by operation, as /proc/diskstats counts them.

        A write that carried a flush completes twice there; the second completion is the flush,
        which was never a request itself.
        """
        counts = dict.fromkeys(BLOCK_OPERATIONS, 0)
        for (number, kind), row in self.rows.items():
            if number == device:
                counts[BLOCK_OPERATIONS[kind & BLOCK_OPERATION]] += row.count
        return counts

    def devices(self) -> list[int]:
        return sorted({device for device, _ in self.rows})

    def evidence(self) -> list[dict[str, Any]]:
        """Return one row per device, operation and set of flags; times in ms."""
        return [
            {
                "device": device_name(device),
                "operation": BLOCK_OPERATIONS[kind & BLOCK_OPERATION],
                "empty": bool(kind & BLOCK_EMPTY),
                "by": "kernel_threads" if kind & BLOCK_BY_KERNEL else "tasks",
                "in_flight_at_start": bool(kind & BLOCK_IN_FLIGHT),
                "count": row.count,
                "bytes": row.bytes,
                "device_ms": row.device_ns / 1e6,
                "queue_ms": max(0, row.total_ns - row.device_ns) / 1e6,
            }
            for (device, kind), row in sorted(self.rows.items())
        ]

    def _row(self, key: Key) -> _Row:
        if key not in self.rows and len(self.rows) >= MAX_ROWS:
            key = (OTHER_DEVICE, key[1])
        return self.rows.setdefault(key, _Row())


def _distinct(values: Words) -> Iterator[int]:
    """Yield each distinct value. There are only a handful, so one scan for each beats sorting."""
    while len(values):
        first = values[0]
        yield int(first)
        values = values[values != first]


def device_name(device: int) -> str:
    """Return the device's major:minor, as in /proc/diskstats."""
    if device == OTHER_DEVICE:
        return "other"
    return f"{device >> MINOR_BITS}:{device & ((1 << MINOR_BITS) - 1)}"
