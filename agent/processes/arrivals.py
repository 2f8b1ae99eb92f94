"""Signals that end a process that runs Trio: none interrupts it, none finds its handler gone.

A handler written in Python can be interrupted by the next signal, and that handler by the one
after it. If signals come fast enough, handlers nest until Python's recursion limit is reached, and
the error is raised in whatever the first one interrupted. Here no Python code runs: the handler is
a built-in function, which notes in a dictionary that the signal arrived. The interpreter also
writes a byte to a socket (`signal.set_wakeup_fd`). That only wakes the task that waits: if other
signals have filled the socket, no byte is written.
"""

import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from types import FrameType

import trio

AT_ONCE = 512
"""Bytes read in one go, of which one is enough."""


@contextlib.contextmanager
def arriving(numbers: Collection[int]) -> Iterator[Callable[[], Awaitable[int]]]:
    """Yield what waits until one of these signals arrives, and returns it; in the end, ignore them.

    More may arrive until we are gone: systemd signals every process, and the supervisor forwards
    its own. By default each would kill us, and blocking them here would not help: a thread of a
    library's own (numpy's) takes them. What is ignored stays so while the interpreter exits.
    """
    arrived: dict[int, FrameType | None] = {}
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            for number in numbers:
                # called with number and frame; keeps the first frame: freeing it may run Python
                signal.signal(number, arrived.setdefault)
            yield partial(_next, reader, arrived)
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
            # Trio's, which may be full as well: it asks for no warning either
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)


async def _next(reader: socket.socket, arrived: Mapping[int, object]) -> int:
    while not arrived:  # what others have handlers for wakes us as well
        await trio.lowlevel.wait_readable(reader)
        reader.recv(AT_ONCE)
    return next(iter(arrived))
