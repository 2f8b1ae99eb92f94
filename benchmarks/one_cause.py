"""Take longer by one known thing: the arguments say what, and how much of it (cause_pairs.py)."""

import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

PAGE = mmap.PAGESIZE
LONGEST_S = 60
"""A program that waits for ever is killed, so that the comparison goes on."""


def compute(ms: str) -> None:
    end = time.process_time() + int(ms) / 1e3
    while time.process_time() < end:
        pass


def compute_limited(ms: str, path: str, how: str) -> None:
    """Compute with or without a quota; ``how``: ``quota`` or ``none``."""
    _ask(path, how)
    compute(ms)
    _ask(path, "none")


def at_once(processes: str, ms: str) -> None:
    """Compute in two children, one or two at a time."""
    for _ in range(2 // int(processes)):
        children = [_child(lambda: compute(ms)) for _ in range(int(processes))]
        for child in children:
            os.waitpid(child, 0)


def sleep(ms: str) -> None:
    time.sleep(int(ms) / 1e3)


def sync(times: str, file: str) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    for _ in range(int(times)):
        os.pwrite(descriptor, b"x" * PAGE, 0)
        os.fsync(descriptor)


def lock(locks: str, turns: str) -> None:
    """Hold a lock for 2 ms, again and again, in two threads that share it or have one each."""

    def hold(one: threading.Lock) -> None:
        for _ in range(int(turns)):
            with one:
                time.sleep(0.002)
            time.sleep(0.0002)

    shared = threading.Lock()
    threads = [
        threading.Thread(target=hold, args=(shared if locks == "1" else threading.Lock(),))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def touch(pages: str) -> None:
    """Write to this many pages of new memory."""
    with mmap.mmap(-1, int(pages) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        memory[::PAGE] = b"x" * int(pages)


def read(blocks: str, file: str, size: str) -> None:
    """Read this many blocks past the page cache."""
    descriptor = os.open(file, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, int(size))
    for block in range(int(blocks)):
        os.preadv(descriptor, [buffer], block * int(size))


def read_limited(blocks: str, file: str, size: str, path: str, how: str) -> None:
    """Read from a disk that is slow or quick; ``how``: ``slow`` or ``quick``."""
    _ask(path, how)
    read(blocks, file, size)
    _ask(path, "quick")


def read_mapped(pages: str, file: str, cached: str) -> None:
    """Read this many pages of a file through a mapping."""
    descriptor = os.open(file, os.O_RDONLY)
    if cached == "no":
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    with mmap.mmap(descriptor, int(pages) * PAGE, prot=mmap.PROT_READ) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        memory[::PAGE]


def pingpong(turns: str, path: str, awake: str, *cpus: str) -> None:
    """Pass a byte back and forth between two processes, each on its CPU.

    ``awake``: whether the CPUs are kept ``awake``, or may be ``asleep``.
    """
    _ask(path, awake)
    there, back = os.pipe(), os.pipe()

    def answer() -> None:
        os.sched_setaffinity(0, {int(cpus[1])})
        for _ in range(int(turns)):
            os.write(back[1], os.read(there[0], 1))

    os.sched_setaffinity(0, {int(cpus[0])})
    child = _child(answer)
    for _ in range(int(turns)):
        os.write(there[1], b"x")
        os.read(back[0], 1)
    os.waitpid(child, 0)


def ask(ms: str, path: str, call: str) -> None:
    """Wait for a process that answers after a while."""
    _ask(path, ms, call)


def stop(ms: str, path: str) -> None:
    """Be stopped until a process goes on after a while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.sendto(f"{os.getpid()} {ms}".encode(), path)
    os.kill(os.getpid(), signal.SIGSTOP)


def _ask(path: str, what: str, call: str = "recv") -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        server.sendall(what.encode())
        if call == "poll":
            waiting = select.poll()
            waiting.register(server, select.POLLIN)
            waiting.poll()
        server.recv(1)


def _child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


WAYS: dict[str, Callable[..., None]] = {
    way.__name__: way
    for way in (
        *(compute, compute_limited, at_once, sleep, sync, lock, touch),
        *(read, read_limited, read_mapped, pingpong, ask, stop),
    )
}

if __name__ == "__main__":
    what, *amounts = sys.argv[1:]
    signal.alarm(LONGEST_S)
    WAYS[what](*amounts)
