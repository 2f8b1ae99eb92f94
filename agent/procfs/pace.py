"""Reads of /proc that leave the event loop free: thousands of tasks take longer than it waits."""

import time

import trio

SLICE_S = 0.002


class Pace:
    """Lets others have their turn once ``SLICE_S`` have been used without a pause."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def breathe(self) -> None:
        """Return at once, or after the other tasks of the event loop had a turn."""
        if time.perf_counter() - self._since >= SLICE_S:
            await trio.lowlevel.checkpoint()
            self._since = time.perf_counter()
