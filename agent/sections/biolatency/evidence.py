"""Block I/O latency: distributions of device time, and of total time including the queue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import RELATIVE_BOUND, Accounts
from agent.evidence.checks import Check
from agent.evidence.tasks import TaskTable
from agent.model import Json
from agent.sections.biolatency.diskstats import COLUMNS
from agent.sections.biolatency.layout import (
    BLOCK_BY_KERNEL,
    BLOCK_NOT_TIMED,
    REQUEST_SIZE,
)
from agent.sections.biolatency.requests_table import BlockTable, device_name
from agent.sections.fold import SectionFold, Taker, add_growth, latency
from agent.streams.collect.observed import Observed, Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge, growth
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_MAX

EVENTS_AT_ONCE = 2_048
"""64 KiB: temporaries of this size are reused; larger ones are mapped and faulted in each time."""
DISK_SLACK = 8
"""Requests that may complete between reading our count and the kernel's, at each edge of a run."""

REQUEST_DTYPE = np.dtype(
    {
        "names": ["key", "since"],
        "formats": ["u8", "u8"],
        "offsets": [0, 8],
        "itemsize": REQUEST_SIZE,
    }
)
"""struct issued_request of block.c."""


class BiolatencyFold(SectionFold):
    """Fold of 4-word events: device time and kind, total time, device, bytes (block.c)."""

    has_histogram = True

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        # These are counted in the table only, not in the distributions: requests issued before the
        # run, the second completion of a write that carried a flush, and in a scoped run the
        # write-back of kernel threads.
        self._table_only = np.uint64(BLOCK_NOT_TIMED | (BLOCK_BY_KERNEL if scoped else 0))
        self.device = LatencyHistogram()
        """Issue to completion."""
        self.with_queue = LatencyHistogram()
        """Allocation to completion, as /proc/diskstats times it."""
        self.table = BlockTable()
        self._folded = 0
        """Requests of which the table knows nothing."""

    def take(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        for begin in range(0, len(events), EVENTS_AT_ONCE):
            self._take_some(events[begin : begin + EVENTS_AT_ONCE])

    takes: ClassVar[Mapping[str, Taker]] = {"biolatency": take}
    folded_without: ClassVar[Mapping[str, str]] = {"biolatency": "device, operation and size"}

    def take_folded(self, growths: Sequence[Growth]) -> None:
        device, with_queue = growths
        add_growth(self.device, device)
        add_growth(self.with_queue, with_queue)
        self._folded += device.events

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        return latency(self.device) | {
            "lost": observed.streams["biolatency"].lost,
            "by_operation": self.table.evidence(),
            "with_queue": latency(self.with_queue),
        }

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterator[Check]:
        """Compare completions by device and operation; /proc/diskstats is for the whole machine.

        That is not possible if some were folded in the kernel, which the verdict says.
        """
        if self.scoped or self._folded:
            return
        inner = growth(edges, "biolatency")
        outer = growth(edges, "biolatency", outer=True)
        for number in self.table.devices():
            device, completed = device_name(number), self.table.completed(number)
            for operation in COLUMNS:
                kernel = inner.get(f"{operation}_{device}")
                ours = completed[operation]
                if kernel is None or not (kernel or ours):
                    continue
                excess = max(0, outer.get(f"{operation}_{device}", kernel) - kernel)
                bounds = (RELATIVE_BOUND, DISK_SLACK, excess)
                yield Check(f"block_{operation}_{device}", "requests", ours, kernel, *bounds)

    def streams(self, observed: Observed) -> Mapping[str, StreamCounts]:
        requests = np.frombuffer(observed.tables["requests"], REQUEST_DTYPE)
        issued = (requests["key"] != 0) & (requests["since"] != 0)
        counts = observed.streams["biolatency"]
        return {"biolatency": replace(counts, in_flight_at_stop=int(np.count_nonzero(issued)))}

    @property
    def overflow(self) -> int:
        return self.device.overflow

    def _take_some(self, events: Words) -> None:
        kinds = events[:, 0] >> np.uint64(LATENCY_BITS)
        self.table.take(events, kinds)
        table_only = (kinds & self._table_only) != 0
        if table_only.any():
            events = events[~table_only]
        self.device.fold(events[:, 0], LATENCY_MAX)
        with_queue = events[:, 1]
        unknown = with_queue > LATENCY_MAX
        if unknown.any():
            with_queue = with_queue[~unknown]
        self.with_queue.fold(with_queue)
