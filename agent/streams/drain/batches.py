"""From batches to events: every event is delivered exactly once, whichever way it arrives.

Full batches arrive as records of the transport. Events in a batch that is still open are read in
place, at the end of a run and whenever a run in progress is inspected. When the record of that
batch arrives later, it is read from where the inspection left off.
"""

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.streams.drain.ordering import acquire_fence
from agent.streams.shared.layout import (
    BATCH_LOST_OFFSET,
    BATCH_SIZE,
    BATCH_TAIL,
    BATCH_WORDS,
    STREAM_NAMES,
    STREAM_WORDS,
    Geometry,
)

STREAMS = len(STREAM_NAMES)
NOT_FRESH = 0xFFFF
RECORDS_COPIED = 32
"""64 KiB at a time: memory of that size is reused; more is mapped and faulted in each time."""

Words = NDArray[np.uint64]
_NOTHING: Words = np.empty(0, np.uint64)
Sink = Callable[[int, Words], None]
"""Takes a stream's number and events as words: (records, words) or (words,). Keeps no view."""

BATCH_DTYPE = np.dtype(
    {
        "names": ["seen", "words", "id", "seq", "events", *BATCH_TAIL],
        "formats": ["u8", "u4", "u4", "u8", ("u8", BATCH_WORDS), *("u8" for _ in BATCH_TAIL)],
        "offsets": [0, 8, 12, 16, 24, *(BATCH_LOST_OFFSET + 8 * i for i in range(len(BATCH_TAIL)))],
        "itemsize": BATCH_SIZE,
    }
)
"""struct batch of layout.h."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the transport's memory: views, valid until they are released."""

    ids: NDArray[np.uint32]
    """cpu << 8 | stream, one per record."""
    seqs: NDArray[np.uint64]
    events: Words
    """(records, BATCH_WORDS)"""


class OpenBatches:
    """The batches that are being filled, mapped read-only."""

    def __init__(self, fd: int, geometry: Geometry) -> None:
        size = geometry.map_sizes()["batches"]
        self._memory = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.rows = np.frombuffer(self._memory, BATCH_DTYPE)
        """One per CPU and stream: row = cpu * STREAMS + stream."""
        self._fence = acquire_fence()

    def unread(self, row: int, seq: int, start: int) -> Words:
        """Copy the words from ``start`` on of a row's open batch, if its number is ``seq``.

        Empty if that batch has been submitted: its record delivers the words. A batch is emptied
        before it is renumbered, so a count that is read after the number belongs to it.
        """
        batch = self.rows[row]
        if int(batch["seq"]) != seq:
            return _NOTHING
        self._fence()
        used = int(batch["words"])
        self._fence()
        words: Words = batch["events"][start:used].copy()
        self._fence()
        return words if int(batch["seq"]) == seq else _NOTHING

    def totals(self, field: str) -> list[int]:
        """Return a counter of the batches' tail, summed over CPUs, by stream."""
        counts: list[int] = self.rows[field].reshape(-1, STREAMS).sum(axis=0).tolist()
        return counts

    def seen(self, stream: int) -> int:
        """Count all calls of the stream's program, whether or not they produced an event."""
        return int(self.rows["seen"][stream::STREAMS].sum())

    def produced(self) -> list[int]:
        """Return events that the programs wrote, folded or had to drop, by stream."""
        words = self.rows["seq"] * np.uint64(BATCH_WORDS) + self.rows["words"]
        elsewhere = zip(self.totals("folded"), self.totals("lost"), strict=True)
        return [
            int(words[stream::STREAMS].sum()) // STREAM_WORDS[stream] + folded + lost
            for stream, (folded, lost) in enumerate(elsewhere)
        ]

    def close(self) -> None:
        """Unmap the batches. Raises BufferError while a view of the events is still held."""
        self.rows = np.empty(0, BATCH_DTYPE)
        self._memory.close()


def _together(events: Words, positions: NDArray[np.intp]) -> Iterator[Words]:
    """Yield the records at these positions: as one view if they are contiguous, else copied."""
    if not len(positions):
        return
    first, last = int(positions[0]), int(positions[-1])
    if last - first + 1 == len(positions):
        yield events[first : last + 1]
        return
    for begin in range(0, len(positions), RECORDS_COPIED):
        yield events[positions[begin : begin + RECORDS_COPIED]]


class Ledger:
    """How much of each CPU's streams has been taken, for one run."""

    def __init__(self, rows: int) -> None:
        self._next_seq = [0] * rows
        self._taken = [0] * rows
        """Words already taken from the open batch."""
        self.received = [0] * STREAMS
        """Events handed to the sink, or folded in the kernel, by stream."""
        self.folded = [0] * STREAMS
        """Of these, the ones that were folded in the kernel."""

    def take_records(self, records: Records, sink: Sink) -> None:
        """Hand over every event of these records that has not been taken yet."""
        rows = (records.ids >> 8) * STREAMS + (records.ids & 0xFF)
        fresh = np.ones(len(rows), np.bool_)
        for row in set(rows.tolist()):
            positions = np.flatnonzero(rows == row)
            first, last = int(records.seqs[positions[0]]), int(records.seqs[positions[-1]])
            if self._taken[row] and first == self._next_seq[row]:
                position = int(positions[0])
                fresh[position] = False
                self._take(row, records.events[position, self._taken[row] :], sink)
            self._taken[row] = 0
            self._next_seq[row] = last + 1
        self._take_whole(records, fresh, sink)

    def take_open(self, batches: OpenBatches, sink: Sink) -> None:
        """Hand over events in the open batches that have not been taken yet."""
        for row in np.flatnonzero(batches.rows["words"]).tolist():
            events = batches.unread(row, self._next_seq[row], self._taken[row])
            self._take(row, events, sink)
            self._taken[row] += len(events)

    def note_folded(self, events: Mapping[int, int]) -> None:
        """Count events that were folded in the kernel and have been added, by stream."""
        for stream, count in events.items():
            self.received[stream] += count
            self.folded[stream] += count

    def _take_whole(self, records: Records, fresh: NDArray[np.bool_], sink: Sink) -> None:
        """Hand over stream by stream: a call of the sink costs as much as about ten records."""
        streams = np.where(fresh, records.ids & 0xFF, NOT_FRESH)
        for stream in range(STREAMS):
            positions = np.flatnonzero(streams == stream)
            for events in _together(records.events, positions):
                sink(stream, events)
            self.received[stream] += len(positions) * BATCH_WORDS // STREAM_WORDS[stream]

    def _take(self, row: int, words: Words, sink: Sink) -> None:
        stream = row % STREAMS
        if len(words):
            sink(stream, words)
            self.received[stream] += len(words) // STREAM_WORDS[stream]
