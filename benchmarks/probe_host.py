"""Host process for one of ``probes/*.c``: ``probe_host.py FILE READER [-DNAME=VALUE ...]``.

It is run by the distribution's interpreter, the one that has bcc, and uses only bcc and the
standard library. It reads commands from standard input, one per line. ``attach`` is answered with
``attached``, ``detach`` with ``detached N``, where N > 0 if anything arrived in the buffer (in
bytes, or in events for ``callback``). It exits at end of file. It compiles once and attaches
nothing between ``detach`` and the next ``attach``.

READER selects how the buffer is emptied: ``none`` (there is no buffer), ``timer`` (every 100 ms, by
advancing the consumer position, because this experiment excludes the processing of events),
``wakeup`` (the same at each wakeup), ``callback`` (BCC calls a Python function for each event).
"""

import ctypes
import mmap
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bcc import BPF

DRAIN_MS = 100
PAGE = mmap.PAGESIZE


class NoReader:
    """A reader for programs without a buffer."""

    fds: tuple[int, ...] = ()
    arrived = 0

    def drain(self) -> None:
        return None


class RingPosition:
    """A reader that advances a ring's consumer position (page 0) to the producer's (page 1)."""

    def __init__(self, table: Any) -> None:
        fd = table.map_fd
        self.fds: tuple[int, ...] = ()
        self._consumer = mmap.mmap(fd, PAGE, mmap.MAP_SHARED)
        self._producer = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)
        self._position = ctypes.c_uint64.from_buffer(self._consumer)
        self.arrived = 0

    def drain(self) -> None:
        produced = int.from_bytes(self._producer[:8], sys.byteorder)
        self.arrived += produced - self._position.value
        self._position.value = produced


class WokenRing(RingPosition):
    """A `RingPosition` that the kernel wakes for each record."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.fds = (table.map_fd,)


class Callback:
    """A reader with BCC's callbacks. They return 0, since None costs BCC a swallowed TypeError."""

    def __init__(self, bpf: BPF) -> None:
        self.arrived = 0
        self.fds: tuple[int, ...] = ()
        table = bpf["events"]
        if hasattr(table, "open_ring_buffer"):
            table.open_ring_buffer(self._count)
            self.drain = bpf.ring_buffer_consume
            self.fds = (table.map_fd,)
        else:
            table.open_perf_buffer(self._count, page_cnt=128)
            self.drain = lambda: bpf.perf_buffer_poll(0)
            self.fds = tuple(_perf_fds())

    def _count(self, *_event: object) -> int:
        self.arrived += 1
        return 0


def _perf_fds() -> Iterator[int]:
    """Find the perf buffers' fds, which BCC does not expose."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if "perf_event" in os.readlink(f"/proc/self/fd/{name}"):
                yield int(name)
        except OSError:
            continue


def make_reader(kind: str, bpf: BPF) -> Any:
    if kind == "none":
        return NoReader()
    if kind == "callback":
        return Callback(bpf)
    return (WokenRing if kind == "wakeup" else RingPosition)(bpf["events"])


def attach(bpf: BPF, tracepoints: Sequence[bytes]) -> None:
    for name in tracepoints:
        bpf.attach_raw_tracepoint(name, b"raw_tracepoint__" + name)


def detach(bpf: BPF, tracepoints: Sequence[bytes]) -> None:
    for name in tracepoints:
        bpf.detach_raw_tracepoint(name)


def serve(bpf: BPF, tracepoints: Sequence[bytes], reader: Any) -> None:
    attached = False
    poll = select.epoll()
    poll.register(sys.stdin, select.EPOLLIN)
    for fd in reader.fds:
        poll.register(fd, select.EPOLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll(DRAIN_MS / 1000 if attached else None)}
        reader.drain()
        if sys.stdin.fileno() not in ready:
            continue
        verb = sys.stdin.readline().strip()
        if not verb:
            return
        if verb == "attach":
            reader.arrived = 0
            attach(bpf, tracepoints)
            answer = "attached"
        else:
            detach(bpf, tracepoints)
            reader.drain()
            answer = f"detached {reader.arrived}"
        attached = verb == "attach"
        print(answer, flush=True)


def main(path: str, kind: str, *defines: str) -> None:
    bpf = BPF(src_file=path, cflags=list(defines))
    # BCC attaches by function name while compiling; detach until the first `attach`.
    tracepoints = tuple(bpf.raw_tracepoint_fds)
    detach(bpf, tracepoints)
    reader = make_reader(kind, bpf)
    print("ready", flush=True)
    serve(bpf, tracepoints, reader)


if __name__ == "__main__":
    main(*sys.argv[1:])
