"""The memory of both transports, written as the kernel writes it."""

import mmap
import os
import struct
from collections.abc import Sequence

import numpy as np
import trio

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
    """Words that tell which batch they are from."""
    return [seq * 1000 + i for i in range(words)]


class FakeWakeups(Wakeups):
    """For memory that is a file, which epoll does not take."""

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


class RingMemory:
    """A file laid out as the kernel maps a ring: two pages of positions, the data twice over."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * PAGE + 2 * size)
        self._memory = mmap.mmap(self.fd, 2 * PAGE + 2 * size)
        self.produced = 0

    @property
    def consumed(self) -> int:
        return int(struct.unpack_from("=Q", self._memory, 0)[0])

    def record(
        self, seq: int, ident: int = 0, *, flags: int = 0, length: int = RECORD_SIZE
    ) -> int | None:
        """Write one and return its position, or None where there is no room."""
        stride = 8 + (length + 7) // 8 * 8
        if self.produced + stride - self.consumed > self.size:
            return None
        position = self.produced
        body = struct.pack("=IIQ", BATCH_WORDS, ident, seq)
        body += np.array(events_of(seq), np.uint64).tobytes()
        self._put(position, struct.pack("=II", length | flags, 0) + body[:length])
        self.produced += stride
        struct.pack_into("=Q", self._memory, PAGE, self.produced)
        return position

    def commit(self, position: int, length: int = RECORD_SIZE) -> None:
        """A record that was busy is there now."""
        self._put(position, struct.pack("=I", length))

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)

    def _put(self, position: int, data: bytes) -> None:
        for i, byte in enumerate(data):
            for copy in (0, self.size):
                self._memory[2 * PAGE + copy + (position + i) % self.size] = byte


class PerfMemory:
    """A file laid out as one CPU's perf buffer: a page of positions, the data once."""

    def __init__(self, size: int, start: int = 0) -> None:
        self.size = size
        self.fd = os.memfd_create("perf")
        os.truncate(self.fd, PAGE + size)
        self._memory = mmap.mmap(self.fd, PAGE + size)
        self.head = start
        self._unreported = 0
        for offset in (1024, 1032):
            struct.pack_into("=Q", self._memory, offset, start)

    @property
    def tail(self) -> int:
        return int(struct.unpack_from("=Q", self._memory, 1032)[0])

    def submit(self, seq: int, ident: int = 0) -> bool:
        """What bpf_perf_event_output() does: refuse where there is no room, and say so later."""
        lost = (
            struct.pack("=IHHQQ", 2, 0, PERF_LOST_SIZE, 77, self._unreported)
            if self._unreported
            else b""
        )
        if self.head + len(lost) + PERF_STRIDE - self.tail > self.size:
            self._unreported += 1
            return False
        kernel = 1
        sample = struct.pack("=IHHIIQ", 9, kernel, PERF_STRIDE, PERF_STRIDE - 12, ident, seq)
        self._write(lost + sample + np.array(events_of(seq), np.uint64).tobytes())
        self._unreported = 0
        return True

    def other(self, kind: int, size: int, body: Sequence[int] = ()) -> None:
        """A record of another type."""
        self._write(struct.pack("=IHH", kind, 0, size) + bytes(body).ljust(max(0, size - 8), b"\0"))

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)

    def _write(self, data: bytes) -> None:
        for i, byte in enumerate(data):
            self._memory[PAGE + (self.head + i) % self.size] = byte
        self.head += len(data)
        struct.pack_into("=Q", self._memory, 1024, self.head)
