"""Reading per-CPU perf buffers without a syscall and without a callback per record.

The kernel maps each buffer as one page of positions (struct perf_event_mmap_page in
include/uapi/linux/perf_event.h) and a power-of-two number of data pages:

    offset 1024         the kernel's position: everything before it is complete
    offset 1032         ours: everything before it may be overwritten
    offset page         the data, once; mapping it twice is refused, so records wrap

A record starts with a header (u32 type, u16 misc, u16 size). In our programs' records a u32 length
and a batch follow, which puts the events at a multiple of 8. Our records all have the same size,
so consecutive ones form an array with a stride, as in the ring; only a record that wraps is
copied. The kernel inserts its own records: PERF_RECORD_LOST before the first record that found
room again.
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
"""The u32 length takes the place of a ring record's u32 count of the batch's words."""

_HEADER = struct.Struct("=IHH")
_LOST = struct.Struct("=8x8xQ")
"""PERF_RECORD_LOST: header, the event's id, number of lost records."""
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
    """A CPU's buffer, as offered by the privileged side."""

    cpu: int
    serial: int
    """Distinguishes it from an earlier one of the same CPU, if that was offline in between."""
    fd: int
    size: int
    """Bytes of data to map."""
    rare: bool = False
    """Whether it is the buffer of the streams that cannot be folded in the kernel."""


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
        """Submits that found no room, as far as the kernel has reported: up to the last record."""

    def read(self, limit: int) -> Records | None:
        """Return at most ``limit`` records, or None; release them before the next read.

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
        """Return the space of what was read to the kernel; every view of it becomes invalid."""
        self._fence()
        self._tail[0] = self._position

    def discard(self) -> None:
        """Skip everything that is unread."""
        self._position = int(self._head[0])
        self.release()

    def close(self) -> None:
        """Unmap. Raises BufferError while a view of a record is still held."""
        self._head = self._tail = np.empty(0, np.uint64)
        self._memory.close()

    def _offset(self) -> int:
        """Return the next record's offset in the mapping. Headers never wrap: sizes are 8n."""
        return self._data + self._position % self.size

    def _samples(self, size: int, limit: int) -> Records:
        if size != STRIDE:
            raise CorruptBuffer(f"a record of {size} bytes, expected {STRIDE}")
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
        """Copy the next ``count`` bytes, joining the two parts if they wrap."""
        start = self._offset()
        found = self._memory[start : start + count]
        return found + self._memory[self._data : self._data + count - len(found)]


class PerfReader:
    """All CPUs' buffers; mapping them needs locked memory but no privilege."""

    def __init__(self, wakeups: Wakeups | None = None) -> None:
        self._wakeups = wakeups or Wakeups()
        self._buffers: dict[PerfEvent, PerfBuffer] = {}
        self._reading: PerfBuffer | None = None
        self._refused_by_closed = 0

    @property
    def serials(self) -> list[int]:
        """Serials of the events whose buffers are mapped."""
        return [event.serial for event in self._buffers]

    def add(self, events: Sequence[PerfEvent]) -> None:
        """Map further buffers, all or none. Raises OSError if that is too much.

        A CPU's earlier buffer stays ahead of its new one until its remaining records are read.
        """
        self._buffers |= _mapped(events)
        for event in events:
            self._wakeups.add(event.fd)

    async def wait(self) -> None:
        """Return when the kernel wakes us: only when a buffer fills faster than it is drained."""
        await self._wakeups.wait()

    def read(self, limit: int) -> Records | None:
        """Return at most ``limit`` records of one CPU, or None; release them before the next read.

        Raises CorruptBuffer for a record of another size.
        """
        for buffer in self._buffers.values():
            records = buffer.read(limit)
            if records is not None:
                self._reading = buffer
                return records
        return None

    def release(self) -> None:
        """Return the space of what was read to the kernel; every view of it becomes invalid."""
        assert self._reading is not None
        self._reading.release()

    def discard(self) -> None:
        """Skip what an earlier run left unread, and unmap buffers that were replaced."""
        newest = {(event.cpu, event.rare): event for event in self._buffers}
        for event in list(self._buffers):
            if newest[event.cpu, event.rare] is event:
                self._buffers[event].discard()
            else:
                self._refused_by_closed += self._buffers[event].lost
                self._buffers.pop(event).close()

    def refused(self) -> int:
        """Count all submits ever that found no room, as far as the kernel has reported."""
        return self._refused_by_closed + sum(b.lost for b in self._buffers.values())

    def close(self) -> None:
        """Unmap. Raises BufferError while a view of a record is still held."""
        for buffer in self._buffers.values():
            buffer.close()
        self._buffers.clear()
        self._wakeups.close()


def _mapped(events: Sequence[PerfEvent]) -> dict[PerfEvent, PerfBuffer]:
    """Map all of them or none. A mapping keeps a duplicate of its fd, as Python's mmap does."""
    with contextlib.ExitStack() as undo:
        mapped = {}
        for event in events:
            memory = undo.enter_context(
                contextlib.closing(mmap.mmap(event.fd, mmap.PAGESIZE + event.size))
            )
            mapped[event] = memory
        undo.pop_all()
    return {event: PerfBuffer(memory) for event, memory in mapped.items()}
