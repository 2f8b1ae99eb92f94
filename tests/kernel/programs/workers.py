"""A process for which the kernel creates threads: workers of io_uring, and one that polls a ring.

    workers.py COUNT

Each of COUNT splices from an empty pipe blocks a worker of its own. The program reports how many
threads were created, including the one that had the splices made. They have exited by then.
"""

import ctypes
import fcntl
import mmap
import os
import struct
import sys
import threading
import time
from pathlib import Path

from protocol import say, wait

SETUP, ENTER = 425, 426  # on every architecture
SETUP_SQPOLL, ENTER_GETEVENTS = 1 << 1, 1 << 0
OFF_SQES = 0x10000000
OP_SPLICE, SQE_ASYNC = 30, 1 << 4
SQE_SIZE = 64
F_SETPIPE_SZ, ROOM = 1031, 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Ring:
    """An io_uring with room for ``entries`` requests (struct io_uring_params, linux/io_uring.h)."""

    def __init__(self, entries, flags=0):
        params = (ctypes.c_uint32 * 30)(0, 0, flags)
        self.fd = call(SETUP, entries, params)
        self._size = params[0]
        self._tail_at, self._array_at = params[11], params[16]
        self._ring = mmap.mmap(self.fd, self._array_at + 4 * self._size)
        self._sqes = mmap.mmap(self.fd, SQE_SIZE * self._size, offset=OFF_SQES)

    def splice_in_a_worker(self, position, source, target):
        sqe = struct.pack(
            "=BBHiQQIIQHHi",
            *(OP_SPLICE, SQE_ASYNC, 0, target, 2**64 - 1, 2**64 - 1, 1, 0, position, 0, 0, source),
        )
        self._sqes[SQE_SIZE * position : SQE_SIZE * position + len(sqe)] = sqe
        struct.pack_into("=I", self._ring, self._array_at + 4 * position, position)
        struct.pack_into("=I", self._ring, self._tail_at, position + 1)

    def enter(self, submit, complete):
        call(ENTER, self.fd, submit, complete, ENTER_GETEVENTS, None, 0)

    def close(self):
        self._ring.close()
        self._sqes.close()
        os.close(self.fd)


def threads():
    return len(list(Path("/proc/self/task").iterdir()))


def until(count):
    while threads() != count:
        time.sleep(0.01)


def splice(count):
    """Have ``count`` workers block, let them go on, and return how many threads there were."""
    before = threads()
    ring = Ring(count)
    pipes = [os.pipe() for _ in range(count)]
    target = os.pipe()
    fcntl.fcntl(target[1], F_SETPIPE_SZ, ROOM)
    for position, (source, _) in enumerate(pipes):
        ring.splice_in_a_worker(position, source, target[1])
    ring.enter(count, 0)
    until(before + count)
    for _, end in pipes:
        os.write(end, b".")
    ring.enter(0, count)
    ring.close()
    for pipe in (*pipes, target):
        for end in pipe:
            os.close(end)


def in_thread(work, *arguments):
    """Run in a thread: the workers of a thread exit with it."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join()
    until(1)


def poll():
    before = threads()
    ring = Ring(1, SETUP_SQPOLL)
    until(before + 1)
    ring.close()


def main():
    count = int(sys.argv[1])
    say()
    wait()
    in_thread(splice, count)
    poll()
    until(1)
    say(created=1 + count + 1)
    wait()


main()
