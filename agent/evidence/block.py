"""Block I/O by device and operation, queue time and device time apart."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent.streams.batches import Words
from agent.streams.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_EMPTY,
    BLOCK_IN_FLIGHT,
    BLOCK_OPERATION,
    BLOCK_OPERATIONS,
    LATENCY_MAX,
)

MAX_ROWS = 256
OTHER_DEVICE = -1
FLAGS = BLOCK_EMPTY | BLOCK_BY_KERNEL | BLOCK_IN_FLIGHT
MINOR_BITS = 20

Key = tuple[int, int]
"""(device number, operation with those of the flags that keep rows apart)"""


@dataclass(slots=True)
class _Row:
    count: int = 0
    device_ns: int = 0
    total_ns: int = 0
    bytes: int = 0


@dataclass(slots=True)
class BlockTable:
    """Completed requests, summed. Bounded: a machine has only so many disks."""

    rows: dict[Key, _Row] = field(default_factory=dict)

    def take(self, events: Words, kinds: Words) -> None:
        """Add events of 4 words (layout.py); ``kinds`` is the upper part of the first."""
        keys = (events[:, 2] & np.uint64(0xFFFFFFFF)) << np.uint64(8) | (
            kinds & np.uint64(FLAGS | BLOCK_OPERATION)
        )
        for key in set(keys.tolist()):
            same = keys == key
            chosen = events if same.all() else events[same]
            row = self._row((key >> 8, key & 0xFF))
            row.count += len(chosen)
            row.bytes += int(chosen[:, 3].sum())
            timed = chosen[:, 1] <= LATENCY_MAX
            if not timed.all():
                chosen = chosen[timed]
            row.device_ns += int((chosen[:, 0] & np.uint64(LATENCY_MAX)).sum())
            row.total_ns += int(chosen[:, 1].sum())

    def completed(self, device: int) -> dict[str, int]:
        """Completions of one device by operation, as /proc/diskstats counts them.

        A write that carried a flush completes twice there, and its second completion is a flush
        that never was a request of its own.
        """
        counts = dict.fromkeys(BLOCK_OPERATIONS, 0)
        for (number, kind), row in self.rows.items():
            if number == device:
                counts[BLOCK_OPERATIONS[kind & BLOCK_OPERATION]] += row.count
        return counts

    def devices(self) -> list[int]:
        return sorted({device for device, _ in self.rows})

    def evidence(self) -> list[dict[str, Any]]:
        """One row a device, operation and kind of owner; times in ms."""
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


def device_name(device: int) -> str:
    """major:minor, as /proc/diskstats numbers them."""
    if device == OTHER_DEVICE:
        return "other"
    return f"{device >> MINOR_BITS}:{device & ((1 << MINOR_BITS) - 1)}"
