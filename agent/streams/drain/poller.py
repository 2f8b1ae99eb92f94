"""The tasks that move events from the kernel's buffers to the sink while a run is on."""

import time
from typing import Protocol

import trio

from agent.streams.drain.batches import Ledger, OpenBatches, Records, Sink

RECORDS_AT_ONCE = 1024
"""262,144 events: 0.5 ms to fold from a warm cache and 2 ms from a cold one, which is what the
event loop waits at the most."""


class Reader(Protocol):
    """A transport: where records come from. Reading is apart from releasing."""

    async def wait(self) -> None:
        """Return when there is reason to look before the timer does."""

    def read(self, limit: int) -> Records | None: ...

    def release(self) -> None: ...

    def discard(self) -> None:
        """Leave unread what an earlier run left behind."""

    def refused(self) -> int | None:
        """Submits that found no room, ever, as far as the records tell; None: they do not."""


class Drain:
    """One run's way from a reader to a sink."""

    def __init__(self, reader: Reader, batches: OpenBatches, sink: Sink) -> None:
        self._reader = reader
        self._batches = batches
        self._sink = sink
        self.ledger = Ledger(len(batches.rows))
        self.drains = 0
        self.seconds = 0.0
        """Time spent reading and folding."""
        self._lock = trio.Lock()
        self._refused_before = reader.refused()

    @property
    def refused(self) -> int | None:
        """Submits of this run that found no room, as far as the transport's records tell."""
        refused = self._reader.refused()
        return None if refused is None else refused - (self._refused_before or 0)

    async def run(self, interval: float) -> None:
        """Drain every ``interval`` seconds, or earlier when the buffer is filling. Until cancelled.

        Most records come without a wakeup, which costs the traced program more than the record.
        """
        while True:
            with trio.move_on_after(interval):
                await self._reader.wait()
            await self.drain()

    async def drain(self) -> None:
        """Take every record there is, letting other tasks run in between."""
        async with self._lock:
            self.drains += 1
            while self._drain_some():
                await trio.lowlevel.checkpoint()

    async def drain_all(self) -> None:
        """Take every record, then what sits in the batches that are still open."""
        await self.drain()
        started = time.perf_counter()
        self.ledger.take_open(self._batches, self._sink)
        self.seconds += time.perf_counter() - started

    def _drain_some(self) -> bool:
        started = time.perf_counter()
        records = self._reader.read(RECORDS_AT_ONCE)
        if records is None:
            return False
        self.ledger.take_records(records, self._sink)
        del records
        self._reader.release()
        self.seconds += time.perf_counter() - started
        return True
