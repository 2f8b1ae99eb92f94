"""Being woken by perf buffers.

``perf_poll()`` (kernel/events/core.c) tells of a wakeup once: asking takes it back. epoll asks
twice, when it is armed and when it delivers, so a wakeup that comes before the arming is taken by
the first question and denied at the second. Trio arms anew for each wait. Who waits, drains and
waits again can so miss the wakeup of a buffer that is full by then, and which wakes nobody again.

What this means for us: the buffers stay armed in an epoll of our own. There a wakeup is queued
until we ask for it, and asked for once. Trio waits until that epoll has something to tell. What is
left is a wakeup in the microseconds between our asking and Trio's arming; the next comes with the
next quarter of the buffer, and the drain has a timer besides.
"""

import select

import trio


class Wakeups:
    """Wakes one task for any of a set of buffers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def add(self, fd: int) -> None:
        """A buffer that is mapped: before, it reports EPOLLHUP. Its fd need not stay open."""
        # edge-triggered: a buffer that reports EPOLLHUP for good does so once
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    async def wait(self) -> None:
        """Return once there was a wakeup that no earlier call has returned for."""
        if not self._epoll.poll(0):
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._epoll.poll(0)

    def close(self) -> None:
        self._epoll.close()
