"""Block I/O by device and operation, with separate queue time and device time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.sections.biolatency.diskstats import COLUMNS
from agent.sections.biolatency.errors import error_name
from agent.sections.biolatency.layout import (
    BLOCK_BIO,
    BLOCK_BY_KERNEL,
    BLOCK_BY_UNKNOWN,
    BLOCK_EMPTY,
    BLOCK_ERRNO,
    BLOCK_ERROR,
    BLOCK_ERROR_SHIFT,
    BLOCK_IN_DISKSTATS,
    BLOCK_IN_FLIGHT,
    BLOCK_NOT_TIMED,
    BLOCK_NOT_TIMED_IN_SCOPE,
    BLOCK_OPERATION,
    BLOCK_OPERATIONS,
    BLOCK_STACKED,
    BLOCK_STATISTICS,
)
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import LATENCY_MAX

MAX_ROWS = 256
OTHER_DEVICE = -1
FLAGS = BLOCK_NOT_TIMED_IN_SCOPE | BLOCK_STACKED | BLOCK_IN_DISKSTATS | BLOCK_ERRNO | BLOCK_BIO
MINOR_BITS = 20

Key = tuple[int, int]
"""(device number, operation and those FLAGS that are set)"""


def table_only(scoped: bool) -> int:
    """Return the flags that keep a request out of the distributions."""
    return (BLOCK_NOT_TIMED_IN_SCOPE if scoped else BLOCK_NOT_TIMED) | BLOCK_STACKED


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
        for device in distinct(devices):
            same = devices == device
            if same.all():
                self._take_device(device, events, kinds)
            else:
                self._take_device(device, events[same], kinds[same])

    def _take_device(self, device: int, events: Words, kinds: Words) -> None:
        device_ns = events[:, 0] & np.uint64(LATENCY_MAX)
        total_ns = events[:, 1]
        timed = total_ns <= LATENCY_MAX
        if not timed.all():
            device_ns, total_ns = device_ns * timed, total_ns * timed
        names, rows = _numbered(kinds & np.uint64(FLAGS | BLOCK_OPERATION))
        counts = np.bincount(rows)
        sums = [np.bincount(rows, weights=w) for w in (device_ns, total_ns, events[:, 3])]
        for number in np.flatnonzero(counts).tolist():
            row = self._row((device, int(names[number]) if names is not None else number))
            row.count += int(counts[number])
            row.device_ns += int(sums[0][number])
            row.total_ns += int(sums[1][number])
            row.bytes += int(sums[2][number])

    def completed(self, device: int | None) -> dict[str, int]:
        """Return one device's completions by operation, as /proc/diskstats counts them.

        Return zeros for None, a device that we did not see.
        """
        return self._by_operation(device, BLOCK_IN_DISKSTATS, BLOCK_IN_DISKSTATS)

    def begun(self, device: int) -> dict[str, int]:
        """Return the same without requests that were in flight when the run began."""
        return self._by_operation(device, BLOCK_IN_DISKSTATS | BLOCK_IN_FLIGHT, BLOCK_IN_DISKSTATS)

    def has_bios(self, device: int) -> bool:
        return any(kind & BLOCK_BIO for kind, _ in self._of(device))

    def devices(self) -> list[int]:
        return sorted({device for device, _ in self.rows})

    def evidence(self, scoped: bool) -> list[dict[str, Any]]:
        """Return one row per device, operation and set of flags; times in ms."""
        return [
            {
                "device": device_name(device),
                "operation": BLOCK_OPERATIONS[kind & BLOCK_OPERATION],
                "error": error_name(kind),
                "empty": bool(kind & BLOCK_EMPTY),
                "by": _submitter(kind),
                "in_flight_at_start": bool(kind & BLOCK_IN_FLIGHT),
                "in_histogram": not kind & table_only(scoped),
                # each driver counts bios in its own way
                "in_diskstats": None if kind & BLOCK_BIO else bool(kind & BLOCK_IN_DISKSTATS),
                "count": row.count,
                # a request that failed transferred nothing
                "bytes": 0 if kind & BLOCK_ERROR else row.bytes,
                "device_ms": row.device_ns / 1e6,
                "queue_ms": max(0, row.total_ns - row.device_ns) / 1e6,
            }
            for (device, kind), row in sorted(self.rows.items())
        ]

    def _by_operation(self, device: int | None, mask: int, wanted: int) -> dict[str, int]:
        """Return completions of which the flags in ``mask`` are ``wanted``."""
        counts = dict.fromkeys(COLUMNS, 0)
        for kind, row in self._of(device):
            if kind & mask == wanted:
                counts[BLOCK_STATISTICS[kind & BLOCK_OPERATION]] += row.count
        return counts

    def _of(self, device: int | None) -> Iterator[tuple[int, _Row]]:
        return ((kind, row) for (number, kind), row in self.rows.items() if number == device)

    def _row(self, key: Key) -> _Row:
        if key not in self.rows and len(self.rows) >= MAX_ROWS:
            key = (OTHER_DEVICE, key[1])
        return self.rows.setdefault(key, _Row())


def _submitter(kind: int) -> str:
    if kind & BLOCK_BY_UNKNOWN:
        return "unknown"
    return "kernel_threads" if kind & BLOCK_BY_KERNEL else "tasks"


def _numbered(kinds: Words) -> tuple[Words | None, NDArray[np.int64]]:
    """Return small numbers for kinds, and the kinds by number; None if they number themselves.

    Errors are rare, and make the numbers too large for an array with an element for each.
    """
    if (kinds >> np.uint64(BLOCK_ERROR_SHIFT)).any():
        return np.unique(kinds, return_inverse=True)
    return None, kinds.view(np.int64)


def distinct(values: Words) -> Iterator[int]:
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
