"""The memory that the programs and the agent share, as files that this process fills itself.

Files rather than anonymous memory, because the agent's own code maps them by descriptor, and
because every system has them.
"""

import mmap
import os
import tempfile
from collections.abc import Mapping

import numpy as np
import trio

from agent.sections.biolatency.open_requests import REQUEST_DTYPE
from agent.streams.collect.tables import COUNTERS_DTYPE, SLOT_DTYPE
from agent.streams.drain.batches import BATCH_DTYPE, STREAMS
from agent.streams.drain.ring import HEADER, STRIDE, RingReader
from agent.streams.shared import messages
from agent.streams.shared.channel import close_all
from agent.streams.shared.layout import BATCH_HEAD, RECORD_SIZE, Geometry


class Tables:
    """The tables, written here and mapped once more by `agent.streams.collect.observer.Mapped`."""

    def __init__(self, geometry: Geometry) -> None:
        """Create them. Raises OSError if there is no room for temporary files."""
        self.geometry = geometry
        sizes = geometry.map_sizes()
        self.fds: Mapping[str, int] = {name: _file(sizes[name]) for name in messages.TABLES}
        self._memory = {name: mmap.mmap(fd, sizes[name]) for name, fd in self.fds.items()}
        self.batches = np.frombuffer(self._memory["batches"], BATCH_DTYPE)
        self.counters = np.frombuffer(self._memory["counters"], COUNTERS_DTYPE)
        self.slots = np.frombuffer(self._memory["slots"], SLOT_DTYPE)
        self.requests = np.frombuffer(self._memory["requests"], REQUEST_DTYPE)

    def close(self) -> None:
        """Close the descriptors; mappings stay valid until they are closed."""
        close_all(self.fds.values())

    def reset(self) -> None:
        """Empty them for the next run. Nothing is ever folded, and no softirq is ever open."""
        for table in (self.batches, self.counters, self.slots, self.requests):
            table.view(np.uint8)[:] = 0
        self.batches["id"] = [
            row // STREAMS << 8 | row % STREAMS for row in range(len(self.batches))
        ]


class Ring:
    """The producer's end of a ring buffer. `agent.streams.drain.ring` says how it is laid out."""

    def __init__(self, size: int) -> None:
        """``size``: bytes of data, a power of two. Raises OSError like `Tables`."""
        page = mmap.PAGESIZE
        self._size = size
        self._fd = _file(2 * page + 2 * size)
        self._memory = mmap.mmap(self._fd, 2 * page + 2 * size)
        self._consumer = np.frombuffer(self._memory, np.uint64, 1)
        self._producer = np.frombuffer(self._memory, np.uint64, 1, page)
        self._data = np.frombuffer(self._memory, np.uint8, 2 * size, 2 * page)
        self._filling = trio.Event()

    def close(self) -> None:
        """Close the descriptor, as `Tables.close` does."""
        os.close(self._fd)

    def reader(self) -> "MockReader":
        return MockReader(self, self._fd, self._size)

    def submit(self, batch: np.void) -> bool:
        """Write one batch's record; return False if there is no room."""
        position = int(self._producer[0])
        used = position - int(self._consumer[0])
        if used + STRIDE > self._size:
            return False
        record = np.zeros(STRIDE, np.uint8)
        record[:4].view(np.uint32)[0] = RECORD_SIZE
        content = np.frombuffer(batch.tobytes(), np.uint8)
        record[HEADER:] = content[BATCH_HEAD : BATCH_HEAD + RECORD_SIZE]
        places = (position + np.arange(STRIDE)) % self._size
        # the kernel maps the same pages twice; a file has to hold them twice
        self._data[places] = self._data[places + self._size] = record
        self._producer[0] = position + STRIDE
        if used > self._size // 2:
            self._filling.set()
        return True

    async def filling(self) -> None:
        """Return when the ring was more than half full since the last call returned."""
        await self._filling.wait()
        self._filling = trio.Event()


class MockReader(RingReader):
    """The agent's own reader of a ring, woken by the producer because no kernel does it."""

    def __init__(self, ring: Ring, fd: int, size: int) -> None:
        super().__init__(fd, size)
        self._ring = ring

    async def wait(self) -> None:
        await self._ring.filling()


def _file(size: int) -> int:
    """Return the descriptor of a new file of zeros that no name leads to."""
    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), size)
        return os.dup(file.fileno())
