"""Wakeups from perf buffers.

``perf_poll()`` (kernel/events/core.c) reports a wakeup once: polling clears it. epoll polls twice,
when it is armed and when it delivers, so a wakeup that comes before the arming is consumed by the
first poll and missing from the second. Trio rearms for each wait. A task that waits, drains and
waits again can therefore miss the wakeup of a buffer that is full by then, and that buffer never
causes another.

What this means for us: the buffers stay armed in our own epoll instance. There a wakeup is queued
until we poll for it, and is polled once. Trio waits until that epoll is readable. What remains is
a wakeup in the microseconds between our poll and Trio's arming; the next one comes with the next
quarter of the buffer, and the drain also has a timer.
"""

import select

import trio


class Wakeups:
    """Wakeups of one task by any of a set of buffers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def add(self, fd: int) -> None:
        """Add a mapped buffer; an unmapped one reports EPOLLHUP. Its fd need not stay open."""
        # edge-triggered: a buffer that reports EPOLLHUP permanently does so only once
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    async def wait(self) -> None:
        """Return once there has been a wakeup that no earlier call returned for."""
        if not self._epoll.poll(0):
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._epoll.poll(0)

    def close(self) -> None:
        self._epoll.close()
