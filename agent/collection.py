"""One run's distributions: takes the streams' words, keeps aggregates only.

This is where the two sides meet that do not know each other: ``streams`` delivers words,
``aggregate`` folds values.
"""

from collections import Counter

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.streams.batches import Words
from agent.streams.layout import (
    BLOCK_EMPTY,
    BLOCK_OPERATION,
    BLOCK_OPERATIONS,
    LATENCY_BITS,
    LATENCY_MAX,
    STREAM_BIOLATENCY,
    STREAM_EXEC,
    STREAM_RUNQLAT,
)

MAX_COMMANDS = 1_000
"""Distinct command names kept; any process may choose its own, so they are bounded."""
OTHER_COMMANDS = "(other)"


class Collection:
    """Everything folded so far. ``take`` is the sink of the streams; it keeps no view."""

    def __init__(self) -> None:
        self.runqlat = LatencyHistogram()
        self.biolatency = LatencyHistogram()
        """Device time: issue to completion."""
        self.biolatency_with_queue = LatencyHistogram()
        """Allocation to completion, as /proc/diskstats times it."""
        self.block_operations: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.execs = 0
        self._takers = {
            STREAM_RUNQLAT: self._take_runqlat,
            STREAM_BIOLATENCY: self._take_biolatency,
            STREAM_EXEC: self._take_execs,
        }

    def take(self, stream: int, words: Words) -> None:
        """Fold a stream's words, of whatever shape; see layout.py for what they hold."""
        self._takers[stream](words)

    def _take_runqlat(self, words: Words) -> None:
        self.runqlat.fold(words, LATENCY_MAX)

    def _take_biolatency(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        self.biolatency.fold(events[:, 0], LATENCY_MAX)
        with_queue = events[:, 1]
        self.biolatency_with_queue.fold(with_queue[with_queue <= LATENCY_MAX])
        kinds = events[:, 0] >> np.uint64(LATENCY_BITS)
        self._count_operations(kinds)

    def _count_operations(self, kinds: Words) -> None:
        found, counts = np.unique(kinds, return_counts=True)
        for kind, count in zip(found.tolist(), counts.tolist(), strict=True):
            operation = BLOCK_OPERATIONS[min(kind & BLOCK_OPERATION, len(BLOCK_OPERATIONS) - 1)]
            suffix = "_empty" if kind & BLOCK_EMPTY else ""
            self.block_operations[operation + suffix] += count

    def _take_execs(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        self.execs += len(events)
        for name in np.ascontiguousarray(events[:, 1:3]).view("S16").ravel().tolist():
            command = name.decode(errors="replace")
            if command not in self.commands and len(self.commands) >= MAX_COMMANDS:
                command = OTHER_COMMANDS
            self.commands[command] += 1
