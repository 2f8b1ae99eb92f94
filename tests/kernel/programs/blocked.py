"""A workload that blocks in a given way and times the block with its own clock.

Command: WAY [SECONDS]

A block that does not time out by itself is ended by a thread, which sleeps until then. That sleep
is accounted under another reason.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import platform
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from protocol import say, wait

FUTEX, USERFAULTFD, NANOSLEEP, CLOCK_NANOSLEEP = {
    "x86_64": (202, 323, 35, 230),
    "aarch64": (98, 282, 101, 115),
}.get(platform.machine(), (-1, -1, -1, -1))
LIBC = ctypes.CDLL(None, use_errno=True)

# include/uapi/linux/userfaultfd.h
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 0xC018AA3F, 0xC020AA00, 0xC020AA04
UFFD_API, REGISTER_MODE_MISSING = 0xAA, 1

CHILDREN = 20


@contextlib.contextmanager
def after(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    def act() -> None:
        time.sleep(seconds)
        action()

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()


def timed(action: Callable[[], object]) -> int:
    began = time.monotonic_ns()
    action()
    return time.monotonic_ns() - began


def timespec(seconds: float) -> bytes:
    return struct.pack("=qq", int(seconds), int(seconds % 1 * 1e9))


def futex(seconds: float) -> int:
    word, timeout = ctypes.c_uint32(0), timespec(seconds)
    return timed(lambda: LIBC.syscall(FUTEX, ctypes.byref(word), 0, 0, timeout, None, 0))


def poll(seconds: float) -> int:
    return timed(lambda: LIBC.poll(None, 0, int(seconds * 1000)))


def nanosleep(seconds: float) -> int:
    return timed(lambda: LIBC.syscall(NANOSLEEP, timespec(seconds), None))


def clock_nanosleep(seconds: float) -> int:
    """Sleep for a relative time, unlike ``time.sleep()``, which the kernel restarts as it was."""
    clock = time.CLOCK_MONOTONIC
    return timed(lambda: LIBC.syscall(CLOCK_NANOSLEEP, clock, 0, timespec(seconds), None))


def spin(seconds: float) -> int:
    """Compute: be in no call, and not blocked."""
    end = time.monotonic() + seconds

    def compute() -> None:
        while time.monotonic() < end:
            pass

    return timed(compute)


def read(seconds: float) -> int:
    source, target = os.pipe()
    with after(seconds, lambda: os.write(target, b".")):
        return timed(lambda: os.read(source, 1))


def sleep(seconds: float) -> int:
    return timed(lambda: time.sleep(seconds))


def page_fault(seconds: float) -> int:
    """Fault on a page that we supply ourselves, after a delay (userfaultfd(2))."""
    page = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    handler = LIBC.syscall(USERFAULTFD, os.O_CLOEXEC)
    fcntl.ioctl(handler, UFFDIO_API, struct.pack("=QQQ", UFFD_API, 0, 0))
    area = struct.pack("=QQ", address, mmap.PAGESIZE)
    fcntl.ioctl(handler, UFFDIO_REGISTER, area + struct.pack("=QQ", REGISTER_MODE_MISSING, 0))
    fill = area + struct.pack("=QQ", 0, 0)
    with after(seconds, lambda: fcntl.ioctl(handler, UFFDIO_ZEROPAGE, fill)):
        # ctypes releases the interpreter lock during the call, so the other thread can end it
        return timed(lambda: ctypes.memset(address, 1, 1))


def hold(seconds: float) -> int:
    """Block until the test sends another word."""
    say(since=time.monotonic_ns())
    return timed(lambda: os.read(0, 4096))


class Woken(Exception):
    """SIGUSR1 has arrived."""


def locked(seconds: float) -> int:
    """Block until SIGUSR1, in a syscall that hardly any other task waits in: for a lock of ours."""

    def wake(*_: object) -> None:
        raise Woken

    signal.signal(signal.SIGUSR1, wake)
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    # a lock of this kind belongs to the opening of a file, not to the process (fcntl(2))
    with tempfile.TemporaryFile() as file, open(f"/proc/self/fd/{file.fileno()}", "r+b") as again:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole)
        since = time.monotonic_ns()
        say(since=since)
        with contextlib.suppress(Woken):
            fcntl.fcntl(again, fcntl.F_OFD_SETLKW, whole)
    return time.monotonic_ns() - since


def stopped(seconds: float) -> int:
    """Be stopped, not blocked, until a child continues us. The child spins, so it does not wait."""
    child = os.fork()
    if child == 0:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        os.kill(os.getppid(), signal.SIGCONT)
        os._exit(0)
    length = timed(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    os.waitpid(child, 0)
    return length


def exited(seconds: float) -> int:
    """Sleep while our children are zombies: exited, and not yet waited for."""
    children = []
    for _ in range(CHILDREN):
        children.append(os.fork())
        if children[-1] == 0:
            os._exit(0)
    length = timed(lambda: time.sleep(seconds))
    for child in children:
        os.waitpid(child, 0)
    return length


def crashed(seconds: float) -> int:
    """Wait for a child that dumps core; how long that takes is up to who reads the dump."""
    child = os.fork()
    if child == 0:
        memory = mmap.mmap(-1, 1 << 20)
        memory.write(b"." * len(memory))
        os.abort()
    return timed(lambda: os.waitpid(child, 0))


WAYS = {
    way.__name__: way
    for way in (
        *(futex, poll, nanosleep, clock_nanosleep, sleep),
        *(read, page_fault, hold, locked, stopped, exited, spin, crashed),
    )
}


def main() -> None:
    say()
    while True:
        way, _, seconds = wait().partition(" ")
        length = WAYS[way](float(seconds or 0))
        say(ms=length / 1e6)


main()
