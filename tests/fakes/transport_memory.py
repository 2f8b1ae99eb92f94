"""The memory of the two transports, written in the way the kernel does."""

import mmap
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import trio

from agent.streams.drain.poller import Reader
from agent.streams.drain.wakeups import Wakeups
from agent.streams.shared.layout import BATCH_WORDS, RECORD_SIZE

BUSY, DISCARD = 1 << 31, 1 << 30
RING_STRIDE = 8 + RECORD_SIZE
PERF_STRIDE = 8 + RECORD_SIZE
PERF_LOST_SIZE = 24

PAGE = mmap.PAGESIZE


def batch_id(cpu: int, stream: int) -> int:
    return cpu << 8 | stream


def events_of(seq: int, words: int = BATCH_WORDS) -> list[int]:
    """Return event words that identify the batch they belong to."""
    return [seq * 1000 + i for i in range(words)]


class FakeWakeups(Wakeups):
    """Wakeups for memory in a regular file, which epoll does not accept."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[int] = []
        self._woken = trio.Event()

    def add(self, fd: int) -> None:
        self.added.append(fd)

    def wake(self) -> None:
        self._woken.set()

    async def wait(self) -> None:
        await self._woken.wait()
        self._woken = trio.Event()


class TransportMemory(ABC):
    """A file laid out as the kernel maps a transport: pages with two positions, then the data."""

    stride: int
    """Bytes from one batch's record to the next."""

    def __init__(
        self, size: int, *, head_at: int, tail_at: int, data_at: int, copies: int = 1
    ) -> None:
        self.size = size
        self.fd = os.memfd_create("transport")
        length = data_at + copies * size
        os.truncate(self.fd, length)
        self._memory = mmap.mmap(self.fd, length)
        self._head_at, self._tail_at = head_at, tail_at
        self._data_at, self._copies = data_at, copies

    @property
    def head(self) -> int:
        """The producer's position: bytes written so far."""
        return self._position(self._head_at)

    @property
    def tail(self) -> int:
        """The consumer's position: bytes that the reader has released."""
        return self._position(self._tail_at)

    @abstractmethod
    def submit(self, seq: int, ident: int = 0) -> bool:
        """Write a batch's record as a program does; return False if there is no room."""

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)

    def _position(self, offset: int) -> int:
        return int(struct.unpack_from("=Q", self._memory, offset)[0])

    def _has_room(self, length: int) -> bool:
        return self.head + length - self.tail <= self.size

    def _append(self, data: bytes) -> None:
        self._put(self.head, data)
        struct.pack_into("=Q", self._memory, self._head_at, self.head + len(data))

    def _put(self, position: int, data: bytes) -> None:
        for i, byte in enumerate(data):
            for copy in range(self._copies):
                offset = copy * self.size + (position + i) % self.size
                self._memory[self._data_at + offset] = byte


class RingMemory(TransportMemory):
    """The ring: each position has a page, and the data is mapped twice in a row."""

    stride = RING_STRIDE

    def __init__(self, size: int) -> None:
        super().__init__(size, head_at=PAGE, tail_at=0, data_at=2 * PAGE, copies=2)

    def submit(self, seq: int, ident: int = 0) -> bool:
        return self.record(seq, ident) is not None

    def record(
        self, seq: int, ident: int = 0, *, flags: int = 0, length: int = RECORD_SIZE
    ) -> int | None:
        """Write a record and return its position, or None if there is no room."""
        stride = 8 + (length + 7) // 8 * 8
        if not self._has_room(stride):
            return None
        position = self.head
        body = struct.pack("=IIQ", BATCH_WORDS, ident, seq)
        body += np.array(events_of(seq), np.uint64).tobytes()
        header = struct.pack("=II", length | flags, 0)
        self._append((header + body[:length]).ljust(stride, b"\0"))
        return position

    def commit(self, position: int, length: int = RECORD_SIZE) -> None:
        """Commit a record that was written with the busy bit set."""
        self._put(position, struct.pack("=I", length))


class PerfMemory(TransportMemory):
    """One CPU's perf buffer: both positions in a page, the data once."""

    stride = PERF_STRIDE

    def __init__(self, size: int, start: int = 0) -> None:
        super().__init__(size, head_at=1024, tail_at=1032, data_at=PAGE)
        self._unreported = 0
        for offset in (self._head_at, self._tail_at):
            struct.pack_into("=Q", self._memory, offset, start)

    def submit(self, seq: int, ident: int = 0) -> bool:
        """Do what bpf_perf_event_output() does: refuse without room, report the loss later."""
        lost = (
            struct.pack("=IHHQQ", 2, 0, PERF_LOST_SIZE, 77, self._unreported)
            if self._unreported
            else b""
        )
        if not self._has_room(len(lost) + PERF_STRIDE):
            self._unreported += 1
            return False
        kernel = 1
        sample = struct.pack("=IHHIIQ", 9, kernel, PERF_STRIDE, PERF_STRIDE - 12, ident, seq)
        self._append(lost + sample + np.array(events_of(seq), np.uint64).tobytes())
        self._unreported = 0
        return True

    def other(self, kind: int, size: int, body: Sequence[int] = ()) -> None:
        """Write a record of another type."""
        header = struct.pack("=IHH", kind, 0, size)
        self._append(header + bytes(body).ljust(max(0, size - 8), b"\0"))


def drained(reader: Reader, limit: int = 100) -> list[list[int]]:
    """Return the sequence numbers in each block of records that a reader returns."""
    blocks = []
    while (records := reader.read(limit)) is not None:
        blocks.append(records.seqs.tolist())
        del records
        reader.release()
    return blocks
