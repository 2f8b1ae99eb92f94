"""Reading per-CPU perf buffers without a syscall and without a callback per record.

The kernel maps each as one page of positions (struct perf_event_mmap_page, of
include/uapi/linux/perf_event.h) and a power of two of pages of data:

    offset 1024         the kernel's position: everything before it is complete
    offset 1032         ours: everything before it may be written over
    offset page         the data, once; mapping it twice is refused, so records wrap

A record is a header (u32 type, u16 misc, u16 size). In those of our programs a u32 length and a
batch follow, which puts the events at a multiple of 8. All of ours have one size, so a run of
them is an array with a stride, as with the ring; only the one that wraps is copied. Between
them the kernel puts records of its own: PERF_RECORD_LOST ahead of the first that found room again.
"""

import contextlib
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.streams.drain.batches import Records
from agent.streams.drain.ordering import acquire_fence
from agent.streams.drain.wakeups import Wakeups
from agent.streams.shared.layout import BATCH_WORDS, RECORD_SIZE

HEAD_OFFSET, TAIL_OFFSET = 1024, 1032

RECORD_LOST, RECORD_SAMPLE = 2, 9

HEADER = 8
STRIDE = HEADER + RECORD_SIZE
"""The u32 length stands where a ring record has the batch's u32 count of words."""

_HEADER = struct.Struct("=IHH")
_LOST = struct.Struct("=8x8xQ")
"""PERF_RECORD_LOST: header, the event's id, how many."""
_RECORD = np.dtype(
    {
        "names": ["type", "size", "id", "seq", "events"],
        "formats": ["u4", "u2", "u4", "u8", ("u8", BATCH_WORDS)],
        "offsets": [0, 6, HEADER + 4, HEADER + 8, HEADER + 16],
        "itemsize": STRIDE,
    }
)


class CorruptBuffer(Exception):
    """A record that neither our programs nor the kernel writes."""


@dataclass(frozen=True, slots=True)
class PerfEvent:
    """A CPU's buffer, as the privileged side offers it."""

    cpu: int
    serial: int
    """Tells it from an earlier one of the same CPU, which has been offline since."""
    fd: int


class PerfBuffer:
    """One CPU's buffer."""

    def __init__(self, memory: mmap.mmap) -> None:
        """``memory``: the page of positions and the data, shared and writable."""
        self._memory = memory
        self._data = mmap.PAGESIZE
        self.size = len(memory) - self._data
        self._fence = acquire_fence()
        self._head = np.frombuffer(memory, np.uint64, 1, HEAD_OFFSET)
        self._tail = np.frombuffer(memory, np.uint64, 1, TAIL_OFFSET)
        self._position = int(self._tail[0])
        self.lost = 0
        """Submits that found no room, as far as the kernel has told: up to the last record."""

    def read(self, limit: int) -> Records | None:
        """At most ``limit`` records, or None; to be released before the next read.

        Raises CorruptBuffer for a sample of another size.
        """
        head = int(self._head[0])
        self._fence()
        while self._position < head:
            kind, _, size = _HEADER.unpack(self._bytes(HEADER))
            if kind == RECORD_SAMPLE:
                return self._samples(size, min(limit, (head - self._position) // STRIDE))
            self._step_over(kind, size)
        self.release()
        return None

    def release(self) -> None:
        """Give what was read back to the kernel; every view of it is void from here on."""
        self._fence()
        self._tail[0] = self._position

    def discard(self) -> None:
        """Leave unread whatever there is."""
        self._position = int(self._head[0])
        self.release()

    def close(self) -> None:
        """Raises BufferError while anybody still holds a view of a record."""
        self._head = self._tail = np.empty(0, np.uint64)
        self._memory.close()

    def _offset(self) -> int:
        """Where the next record begins in the mapping. A header never wraps: sizes are 8n."""
        return self._data + self._position % self.size

    def _samples(self, size: int, limit: int) -> Records:
        if size != STRIDE:
            raise CorruptBuffer(f"a record of {size} bytes where {STRIDE} were expected")
        start = self._offset()
        unwrapped = (len(self._memory) - start) // STRIDE
        if unwrapped == 0:
            records = np.frombuffer(self._bytes(STRIDE), _RECORD)
        else:
            records = np.frombuffer(self._memory, _RECORD, min(limit, unwrapped), start)
            ours = (records["type"] == RECORD_SAMPLE) & (records["size"] == STRIDE)
            if not ours.all():
                records = records[: int(np.argmin(ours))]
        self._position += len(records) * STRIDE
        return Records(records["id"], records["seq"], records["events"])

    def _step_over(self, kind: int, size: int) -> None:
        if size < HEADER or size % 8:
            raise CorruptBuffer(f"a record of type {kind} and {size} bytes")
        if kind == RECORD_LOST:
            self.lost += _LOST.unpack(self._bytes(_LOST.size))[0]
        self._position += size

    def _bytes(self, count: int) -> bytes:
        """A copy of what comes next, put together where it wraps."""
        start = self._offset()
        found = self._memory[start : start + count]
        return found + self._memory[self._data : self._data + count - len(found)]


class PerfReader:
    """All CPUs' buffers; mapping them takes no privilege but locked memory."""

    def __init__(self, wakeups: Wakeups | None = None) -> None:
        self._wakeups = wakeups or Wakeups()
        self._buffers: dict[PerfEvent, PerfBuffer] = {}
        self._reading: PerfBuffer | None = None
        self._refused_by_closed = 0

    @property
    def serials(self) -> list[int]:
        """Which events' buffers are mapped."""
        return [event.serial for event in self._buffers]

    def add(self, events: Sequence[PerfEvent], size: int) -> None:
        """Map further buffers of ``size`` bytes, or none. Raises OSError where that is too much.

        A CPU's earlier buffer stays ahead of its new one until what it still holds is read.
        """
        self._buffers |= _mapped(events, size)
        for event in events:
            self._wakeups.add(event.fd)

    async def wait(self) -> None:
        """Return when the kernel wakes us: only when a buffer fills faster than it is drained."""
        await self._wakeups.wait()

    def read(self, limit: int) -> Records | None:
        """At most ``limit`` records of one CPU, or None; to be released before the next read.

        Raises CorruptBuffer for a record of another size.
        """
        for buffer in self._buffers.values():
            records = buffer.read(limit)
            if records is not None:
                self._reading = buffer
                return records
        return None

    def release(self) -> None:
        """Give what was read back to the kernel; every view of it is void from here on."""
        assert self._reading is not None
        self._reading.release()

    def discard(self) -> None:
        """Leave unread what an earlier run left, and let go of buffers that were replaced."""
        newest = {event.cpu: event for event in self._buffers}
        for event in list(self._buffers):
            if newest[event.cpu] is event:
                self._buffers[event].discard()
            else:
                self._refused_by_closed += self._buffers[event].lost
                self._buffers.pop(event).close()

    def refused(self) -> int:
        """Submits that found no room, ever, as far as the kernel has told."""
        return self._refused_by_closed + sum(b.lost for b in self._buffers.values())

    def close(self) -> None:
        """Raises BufferError while anybody still holds a view of a record."""
        for buffer in self._buffers.values():
            buffer.close()
        self._buffers.clear()
        self._wakeups.close()


def _mapped(events: Sequence[PerfEvent], size: int) -> dict[PerfEvent, PerfBuffer]:
    """All of them or none. The mapping keeps a duplicate of the fd (as Python's mmap does)."""
    with contextlib.ExitStack() as undo:
        mapped = {}
        for event in events:
            memory = undo.enter_context(
                contextlib.closing(mmap.mmap(event.fd, mmap.PAGESIZE + size))
            )
            mapped[event] = memory
        undo.pop_all()
    return {event: PerfBuffer(memory) for event, memory in mapped.items()}
