"""Events into batches and batches into records, as ``batch.h`` does it."""

import numpy as np

from agent.mock.memory import Ring, Tables
from agent.streams.drain.batches import STREAMS, Words
from agent.streams.shared.layout import BATCH_WORDS, STREAM_NUMBERS, STREAM_RUNQLAT, STREAM_WORDS


class Batches:
    """The writer of every CPU's batches."""

    def __init__(self, tables: Tables, ring: Ring) -> None:
        self._rows = tables.batches
        self._ring = ring

    def write(self, cpu: int, stream: str, events: Words) -> None:
        """Append events, (events, words per event). Those that find no room are counted as lost."""
        number = STREAM_NUMBERS[stream]
        batch = self._rows[cpu * STREAMS + number]
        while len(events):
            if batch["words"] == BATCH_WORDS and not self._submit(batch):
                batch["lost"] += len(events)
                return
            used = int(batch["words"])
            fitting = events[: (BATCH_WORDS - used) // STREAM_WORDS[number]]
            batch["events"][used : used + fitting.size] = fitting.ravel()
            batch["words"] += fitting.size
            events = events[len(fitting) :]

    def see_switches(self, cpu: int, count: int) -> None:
        """Count context switches, whether or not they end a wait."""
        self._rows[cpu * STREAMS + STREAM_RUNQLAT]["seen"] += count

    def _submit(self, batch: np.void) -> bool:
        if not self._ring.submit(batch):
            return False
        batch["words"] = 0
        batch["seq"] += 1
        return True
