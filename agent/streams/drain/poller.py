"""The tasks that move events from the kernel's buffers to the sink during a run."""

import time
from collections.abc import Sequence
from typing import Protocol

import trio

from agent.streams.drain.batches import Ledger, OpenBatches, Records, Words
from agent.streams.drain.folded import FoldedTables, Growth

RECORDS_AT_ONCE = 1024
"""262,144 events: 0.5 ms to fold from a warm cache and 2 ms from a cold one, which is the
longest that the event loop waits."""


class Reader(Protocol):
    """A transport, as a source of records. Reading and releasing are separate steps."""

    async def wait(self) -> None:
        """Return when there is a reason to read before the timer expires."""

    def read(self, limit: int) -> Records | None: ...

    def release(self) -> None: ...

    def discard(self) -> None:
        """Skip what an earlier run left unread."""

    def refused(self) -> int | None:
        """Count all submits ever that found no room, if records show them; otherwise None."""


class Receiver(Protocol):
    """The code that folds a run's events. It keeps no view of what it is given."""

    def take(self, stream: int, words: Words) -> None:
        """Take events as words: (records, words) or (words,)."""

    def take_folded(self, stream: int, growths: Sequence[Growth]) -> None:
        """Take what events folded in the kernel added to each distribution of their stream."""

    def is_snapshot_due(self) -> bool:
        """Return whether to call `snapshot` after this drain."""

    def snapshot(self, events: int, lost: int) -> None:
        """Note how far the run is: events received and dropped so far, over all streams."""


class Drain:
    """The transfer of one run's events from a reader, and from the kernel's own folding."""

    def __init__(
        self,
        reader: Reader,
        batches: OpenBatches,
        folded: FoldedTables,
        receiver: Receiver,
    ) -> None:
        self._reader = reader
        self._batches = batches
        self._folded = folded
        self._receiver = receiver
        self.ledger = Ledger(len(batches.rows))
        self.drains = 0
        self.seconds = 0.0
        """Time spent reading and folding."""
        self.longest_gap_s = 0.0
        """The longest time from one drain to the next, the beginning of the run being one."""
        self._drained_at = time.perf_counter()
        self._lock = trio.Lock()
        self._refused_before = reader.refused()

    @property
    def refused(self) -> int | None:
        """Submits of this run that found no room, as far as the transport's records show."""
        refused = self._reader.refused()
        return None if refused is None else refused - (self._refused_before or 0)

    async def run(self, interval: float) -> None:
        """Drain every ``interval`` seconds, or earlier if the buffer is filling, until cancelled.

        Most records come without a wakeup, which would cost the traced program more than the
        record itself.
        """
        while True:
            with trio.move_on_after(interval):
                await self._reader.wait()
            await self.drain()
            if self._receiver.is_snapshot_due():
                self._take_snapshot()

    async def drain(self) -> None:
        """Take every record there is, letting other tasks run in between, and what was folded."""
        async with self._lock:
            self.drains += 1
            self.longest_gap_s = max(self.longest_gap_s, time.perf_counter() - self._drained_at)
            while self._drain_some():
                await trio.lowlevel.checkpoint()
            self._take_folded()
            self._drained_at = time.perf_counter()

    async def drain_all(self) -> None:
        """Take every record, then the events in batches that are still open."""
        await self.drain()
        self._take_open()

    def close(self) -> None:
        """Release the memory of the kernel's folding, after the last drain."""
        self._folded.close()

    def _take_snapshot(self) -> None:
        # with what is in open batches: rare events would be shown long after they happened
        self._take_open()
        started = time.perf_counter()
        lost = sum(self._batches.totals("lost"))
        self._receiver.snapshot(sum(self.ledger.received), lost)
        self.seconds += time.perf_counter() - started

    def _take_open(self) -> None:
        started = time.perf_counter()
        self.ledger.take_open(self._batches, self._receiver.take)
        self.seconds += time.perf_counter() - started

    def _take_folded(self) -> None:
        started = time.perf_counter()
        self.ledger.note_folded(self._folded.take(self._receiver.take_folded))
        self.seconds += time.perf_counter() - started

    def _drain_some(self) -> bool:
        started = time.perf_counter()
        records = self._reader.read(RECORDS_AT_ONCE)
        if records is None:
            return False
        self.ledger.take_records(records, self._receiver.take)
        del records
        self._reader.release()
        self.seconds += time.perf_counter() - started
        return True
