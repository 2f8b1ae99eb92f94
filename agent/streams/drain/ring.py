"""Reading the BPF ring buffer without a syscall and without a callback per record.

The kernel maps it as three parts (kernel/bpf/ringbuf.c, ringbuf_map_mmap_kern):

    offset 0            one page: the consumer's position, which we write
    offset page         one page: the producer's position
    offset 2 * page     the data, twice in a row, so that no record wraps

A record is a header of two u32 (length, with BUSY and DISCARD in its upper bits, and the page
offset), then its payload, padded to 8 bytes. Our records all have the same size, so consecutive
ones form an array with a stride, and their headers are checked in one comparison.

Ordering: the producer stores the header's length last (smp_store_release at commit). We read the
producer's position before the headers, and the headers before the payload. x86-64 keeps loads in
order; elsewhere a fence separates them (libatomic's).
"""

import mmap

import numpy as np
import trio

from agent.streams.drain.batches import Records
from agent.streams.drain.ordering import acquire_fence
from agent.streams.shared.layout import BATCH_WORDS, RECORD_SIZE

HEADER = 8
STRIDE = HEADER + RECORD_SIZE
BUSY, DISCARD = 1 << 31, 1 << 30

_RECORD = np.dtype(
    {
        "names": ["length", "id", "seq", "events"],
        "formats": ["u4", "u4", "u8", ("u8", BATCH_WORDS)],
        "offsets": [0, HEADER + 4, HEADER + 8, HEADER + 16],
        "itemsize": STRIDE,
    }
)


class CorruptRing(Exception):
    """A record that none of our programs writes."""


class RingReader:
    """One ring. Mapping it takes its fd, but no privilege."""

    def __init__(self, fd: int, ring_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._fd = fd
        self._mask = ring_bytes - 1
        self._fence = acquire_fence()
        self._consumer_page = mmap.mmap(fd, page, mmap.MAP_SHARED)
        self._data = mmap.mmap(
            fd, page + 2 * ring_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._consumer = np.frombuffer(self._consumer_page, np.uint64, 1)
        self._producer = np.frombuffer(self._data, np.uint64, 1)
        self._position = int(self._consumer[0])

    async def wait(self) -> None:
        """Return when the kernel wakes us: only when the ring fills faster than it is drained."""
        await trio.lowlevel.wait_readable(self._fd)

    def read(self, limit: int) -> Records | None:
        """Return at most ``limit`` records, or None; release them before the next read.

        Raises CorruptRing for a record of another size.
        """
        available = int(self._producer[0]) - self._position
        count = min(available // STRIDE, limit)
        if count <= 0:
            return None
        self._fence()
        start = mmap.PAGESIZE + (self._position & self._mask)
        # no record may extend beyond the second mapping of the data
        count = min(count, (len(self._data) - start) // STRIDE)
        records = np.frombuffer(self._data, _RECORD, count, start)
        # loaded once: a record that is being written may be committed between two loads
        headers = records["length"].copy()
        whole = headers == RECORD_SIZE
        if not whole.all():
            count = int(np.argmin(whole))
            self._check_odd_header(int(headers[count]))
            records = records[:count]
        if count == 0:
            return None
        self._fence()
        self._position += count * STRIDE
        return Records(records["id"], records["seq"], records["events"])

    def release(self) -> None:
        """Return the space of what was read to the kernel; every view of it becomes invalid."""
        self._fence()
        self._consumer[0] = self._position

    def discard(self) -> None:
        """Skip what an earlier run left unread. Call only while nothing is attached."""
        self._position = int(self._producer[0])
        self.release()

    def refused(self) -> None:
        """Return None: a ring does not count what it refuses."""

    def close(self) -> None:
        """Unmap the ring. Raises BufferError while a view of a record is still held."""
        self._consumer = self._producer = np.empty(0, np.uint64)
        self._data.close()
        self._consumer_page.close()

    def _check_odd_header(self, header: int) -> None:
        # still being written: it will be there the next time
        if header & BUSY:
            return
        raise CorruptRing(f"a record of {header & ~DISCARD} bytes, expected {RECORD_SIZE}")
