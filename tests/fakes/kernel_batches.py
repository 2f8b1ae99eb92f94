"""A model of probes/batch.h and folded.h that executes one store at a time.

A reader can thus read between any two stores.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from fakes.kernel_folding import KernelFolding

from agent.streams.drain.batches import BATCH_DTYPE, STREAMS, OpenBatches, Records
from agent.streams.shared.layout import (
    BATCH_WORDS,
    DISTRIBUTIONS,
    STREAM_NAMES,
    STREAM_WORDS,
    Geometry,
    machine_geometry,
)
from agent.streams.shared.layout import STREAMS as STREAMS_BY_NUMBER

FOLDED_PER_ATTEMPT = 64


class KernelBatches:
    """The batches of all CPUs and streams, in memory that `OpenBatches` maps, with a transport."""

    def __init__(self, cpus: int = 2, room: int = 4) -> None:
        self.geometry: Geometry = machine_geometry(cpus, 1024)
        self.fd = os.memfd_create("batches")
        size = self.geometry.map_sizes()["batches"]
        os.truncate(self.fd, size)
        self._memory = mmap.mmap(self.fd, size)
        self.rows = np.frombuffer(self._memory, BATCH_DTYPE)
        self.rows["id"] = [row // STREAMS << 8 | row % STREAMS for row in range(len(self.rows))]
        self.room = room
        """Capacity of the transport in records; further records are refused."""
        self.records: list[np.void] = []
        self.produced: dict[int, list[int]] = {row: [] for row in range(len(self.rows))}
        """First word of each event that was written into a batch, by row."""
        self.folding = KernelFolding(self.geometry)
        self.folded: dict[int, list[int]] = {stream: [] for stream in range(STREAMS)}
        """The latency of each event that was folded, which is the same in all distributions."""
        self._events = 0
        self._doing: dict[int, Iterator[None]] = {}

    def step(self, row: int) -> None:
        """Execute one store of the program that writes this row."""
        doing = self._doing.get(row)
        if doing is None:
            doing = self._doing[row] = self._event(row)
        if next(doing, "done") == "done":
            del self._doing[row]

    def finish(self) -> None:
        """Run every program to its end, as is guaranteed by the wait that follows detaching."""
        for row in list(self._doing):
            self._finish(row)

    def _finish(self, row: int) -> None:
        for _ in self._doing.pop(row, iter(())):
            pass

    def events_left(self, row: int) -> int:
        """Return how many more events fit into the open batch."""
        left = BATCH_WORDS - int(self.rows[row]["words"])
        return left // STREAM_WORDS[row % STREAMS]

    def event(self, row: int, count: int = 1) -> None:
        """Write ``count`` whole events, after finishing one that is in progress."""
        self._finish(row)
        for _ in range(count):
            for _ in self._event(row):
                pass

    def _event(self, row: int) -> Iterator[None]:
        """Execute event_room() and event_done(), or fold; each yield is between two stores."""
        batch = self.rows[row]
        words = STREAM_WORDS[row % STREAMS]
        if batch["words"] >= BATCH_WORDS:
            between_attempts = batch["folded"] % FOLDED_PER_ATTEMPT != 0
            if between_attempts or len(self.records) >= self.room:
                yield from self._fold(row)
                return
            self.records.append(batch.copy())
            yield
            batch["words"] = 0
            yield
            batch["seq"] += 1
            yield
        self._events += 1
        event = self._events * 100
        used = int(batch["words"])
        for word in range(words):
            batch["events"][used + word] = event + word
        yield
        batch["words"] += words
        self.produced[row].append(event)

    def _fold(self, row: int) -> Iterator[None]:
        """Execute fold() for each of the stream's distributions, and event_folded()."""
        cpu, stream = divmod(row, STREAMS)
        if not STREAMS_BY_NUMBER[stream].folded:
            self.rows[row]["lost"] += 1
            return
        self._events += 1
        ns = self._events * 100
        for distribution, (owner, _) in enumerate(DISTRIBUTIONS):
            if owner == STREAM_NAMES[stream]:
                yield from self.folding.fold(cpu, distribution, ns)
                yield
        self.rows[row]["folded"] += 1
        self.folded[stream].append(ns)

    def take(self, limit: int) -> Records | None:
        """Return up to ``limit`` of the submitted records, as a reader would."""
        taken, self.records = self.records[:limit], self.records[limit:]
        if not taken:
            return None
        records = np.array(taken, BATCH_DTYPE)
        return Records(records["id"], records["seq"], records["events"])

    @property
    def lost(self) -> int:
        return int(self.rows["lost"].sum())

    def close(self) -> None:
        self.folding.close()
        self.rows = np.empty(0, BATCH_DTYPE)
        self._memory.close()
        os.close(self.fd)


class RacedBatches(OpenBatches):
    """Open batches whose fields are all read at different times: each read calls ``meanwhile``."""

    def __init__(self, kernel: KernelBatches, meanwhile: Callable[[], None]) -> None:
        super().__init__(kernel.fd, kernel.geometry)
        self.rows: Any = _Raced(self.rows, meanwhile)


class _Raced:
    def __init__(self, array: Any, meanwhile: Callable[[], None]) -> None:
        self._array = array
        self._meanwhile = meanwhile

    def __getitem__(self, key: Any) -> Any:
        self._meanwhile()
        found = self._array[key]
        return _Raced(found, self._meanwhile) if isinstance(found, np.void) else found
