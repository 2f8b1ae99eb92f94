"""Signals of a process that runs Trio: none interrupts it, and none finds its handler gone.

A handler in Python is itself interrupted by the next signal, and that one's handler by the one
after it. Where they come fast enough, it goes on until Python allows no deeper one, and the error
is raised in whatever the first one interrupted. Here no Python runs: the interpreter writes the
signal's number to a socket (`signal.set_wakeup_fd`), which a task reads.
"""

import contextlib
import operator
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial

import trio

AT_ONCE = 512
"""Signals read in one go, of which one is enough."""


@contextlib.contextmanager
def arriving(numbers: Collection[int]) -> Iterator[Callable[[], Awaitable[None]]]:
    """Yield what waits until one of these signals arrives; in the end, ignore them.

    More may arrive until we are gone: systemd signals every process, and the supervisor forwards
    its own. By default each would kill us, and blocking them here would not help: a thread of a
    library's own (numpy's) takes them. What is ignored stays so while the interpreter exits.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            for number in numbers:
                # the interpreter has to call something: this is part of it, and does nothing
                signal.signal(number, operator.is_)
            yield partial(_next, reader, numbers)
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(before)


async def _next(reader: socket.socket, numbers: Collection[int]) -> None:
    arrived: bytes = b""
    while not any(number in numbers for number in arrived):  # others have handlers of their own
        await trio.lowlevel.wait_readable(reader)
        arrived = reader.recv(AT_ONCE)
