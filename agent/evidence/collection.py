"""One run's distributions: takes the streams' words, keeps aggregates only.

This is where the two sides meet that do not know each other: ``streams`` delivers words,
``aggregate`` folds values.
"""

from collections import Counter

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.block import BlockTable
from agent.evidence.tasks import TaskTable
from agent.streams.collect import task_summaries
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_EMPTY,
    BLOCK_IN_FLIGHT,
    LATENCY_BITS,
    LATENCY_MAX,
    STREAM_BIOLATENCY,
    STREAM_EXEC,
    STREAM_EXIT,
    STREAM_RUNQLAT,
)

BLOCK_EVENTS_AT_ONCE = 2_048
"""64 KiB: temporaries of this size are reused; larger ones are mapped and faulted in anew."""

MAX_COMMANDS = 1_000
"""Distinct command names kept; any process may choose its own, so they are bounded."""
OTHER_COMMANDS = "(other)"


class Collection:
    """Everything folded so far. ``take`` is the sink of the streams; it keeps no view."""

    def __init__(self, scoped: bool = False) -> None:
        # What stands apart is in the table only: the second completion of a write that carried a
        # flush, and in a scoped run the write-back of kernel threads.
        apart = BLOCK_IN_FLIGHT | BLOCK_EMPTY | (BLOCK_BY_KERNEL if scoped else 0)
        self._kept_apart = np.uint64(apart)
        self.runqlat = LatencyHistogram()
        self.biolatency = LatencyHistogram()
        """Device time: issue to completion."""
        self.biolatency_with_queue = LatencyHistogram()
        """Allocation to completion, as /proc/diskstats times it."""
        self.block = BlockTable()
        self.commands: Counter[str] = Counter()
        self.execs = 0
        self.tasks = TaskTable()
        self.accounts = Accounts()

    def take(self, stream: int, words: Words) -> None:
        """Fold a stream's words, of whatever shape; see layout.py for what they hold."""
        _TAKERS[stream](self, words)

    def _take_runqlat(self, words: Words) -> None:
        self.runqlat.fold(words, LATENCY_MAX)

    def _take_biolatency(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        for begin in range(0, len(events), BLOCK_EVENTS_AT_ONCE):
            self._take_block_events(events[begin : begin + BLOCK_EVENTS_AT_ONCE])

    def _take_block_events(self, events: Words) -> None:
        kinds = events[:, 0] >> np.uint64(LATENCY_BITS)
        self.block.take(events, kinds)
        apart = (kinds & self._kept_apart) != 0
        if apart.any():
            events = events[~apart]
        self.biolatency.fold(events[:, 0], LATENCY_MAX)
        with_queue = events[:, 1]
        unknown = with_queue > LATENCY_MAX
        if unknown.any():
            with_queue = with_queue[~unknown]
        self.biolatency_with_queue.fold(with_queue)

    def _take_exits(self, words: Words) -> None:
        self.take_summaries(task_summaries.from_words(words))

    def take_summaries(self, rows: task_summaries.Summaries) -> None:
        """Add tasks whose account is final: exits as they come, the living at the stop."""
        self.tasks.take(rows)
        self.accounts.take(rows)

    def _take_execs(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        self.execs += len(events)
        for name in np.ascontiguousarray(events[:, 1:3]).view("S16").ravel().tolist():
            command = name.decode(errors="replace")
            if command not in self.commands and len(self.commands) >= MAX_COMMANDS:
                command = OTHER_COMMANDS
            self.commands[command] += 1


# Of the class and not of its objects: an object that holds its own methods is a cycle, and its
# 700 KiB of histograms would wait for the garbage collector.
_TAKERS = {
    STREAM_RUNQLAT: Collection._take_runqlat,
    STREAM_BIOLATENCY: Collection._take_biolatency,
    STREAM_EXEC: Collection._take_execs,
    STREAM_EXIT: Collection._take_exits,
}
