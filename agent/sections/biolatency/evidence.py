"""Block I/O latency: distributions of device time, and of total time including the queue."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.latency import latency
from agent.evidence.accounts import RELATIVE_BOUND, Accounts
from agent.evidence.checks import Check
from agent.evidence.tasks import TaskTable
from agent.sections.biolatency import left_out, open_requests
from agent.sections.biolatency.devices import device_rows
from agent.sections.biolatency.disk_readings import DiskReadings, disk_readings
from agent.sections.biolatency.layout import BLOCK_STACKED
from agent.sections.biolatency.requests_table import BlockTable, device_name, distinct, table_only
from agent.sections.biolatency.stacking import Stacking
from agent.sections.fold import SectionFold, Taker, add_growth
from agent.streams.collect.observed import Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import (
    Edge,
    switched_out_of_process_1,
    words_on_process_1,
)
from agent.streams.shared.layout import LATENCY_BITS, LATENCY_MAX
from agent.words import Json

EVENTS_AT_ONCE = 2_048
"""64 KiB: temporaries of this size are reused; larger ones are mapped and faulted in each time."""
DISK_SLACK = 8
"""Requests that may complete between reading our count and the kernel's, at each edge of a run."""


class BiolatencyFold(SectionFold):
    """Fold of 4-word events: device time and kind, total time, device, bytes (block.c)."""

    has_histogram = True

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self._table_only = np.uint64(table_only(scoped))
        self.device = LatencyHistogram()
        """Issue to completion."""
        self.with_queue = LatencyHistogram()
        """Allocation to completion, as /proc/diskstats times it."""
        self.table = BlockTable()
        self.stacking = Stacking()
        self._folded: Counter[str] = Counter()
        """Requests and bios of which the table knows nothing, by stream."""
        self._folded_untimed: Counter[str] = Counter()
        """Of these, those that are in no histogram."""
        self._read: tuple[tuple[Edge, Edge], Mapping[str, DiskReadings]] | None = None
        """What was last found out about disks, and from which edges."""

    def take(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        for begin in range(0, len(events), EVENTS_AT_ONCE):
            self._take_some(events[begin : begin + EVENTS_AT_ONCE])

    takes: ClassVar[Mapping[str, Taker]] = {"biolatency": take, "bios": take}

    def take_folded(self, stream: str, growths: Sequence[Growth]) -> None:
        # nothing queues bios, so they have one latency
        device, with_queue = growths if stream == "biolatency" else (*growths, *growths)
        add_growth(self.device, device)
        add_growth(self.with_queue, with_queue)
        self._folded[stream] += device.events
        self._folded_untimed[stream] += device.absent

    def lost_by_folding(self) -> Mapping[str, str]:
        return {stream: self._lost_by_folding(stream) for stream in self._folded}

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        disks = self._disks(stopped.edges)
        still_open = _still_open(stopped, disks)
        streams = stopped.observed.streams
        ours = [streams[name] for name in self.takes if name in streams]
        excluded = sum(counts.excluded for counts in ours)
        folded = self._folded_untimed.total()
        not_in = dict(left_out.left_out(self.table, self.scoped, excluded, folded))
        return latency(self.device) | {
            "lost": sum(counts.lost for counts in ours),
            "not_in_histogram": left_out.evidence(not_in),
            "by_operation": self.table.evidence(self.scoped),
            "devices": list(device_rows(disks, self.table, self.stacking)),
            "open_at_stop": open_requests.evidence(still_open, stopped.stop_ns),
            "with_queue": latency(self.with_queue),
        }

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterator[Check]:
        """Compare completions by device and operation; /proc/diskstats is for the whole machine.

        That is not possible if some were folded in the kernel, which the verdict says.
        """
        if self.scoped or self._folded:
            return
        ours = {device_name(number): number for number in self.table.devices()}
        for device, readings in self._disks(edges).items():
            number = ours.get(device)
            if number is None and readings.is_idle:
                continue
            if self._is_comparable(readings, device, number):
                completed = self.table.completed(number)
                yield from _checks_of(device, readings, completed, _consequence(edges))

    def streams(self, stopped: Stopped) -> Mapping[str, StreamCounts]:
        still_open = _still_open(stopped, self._disks(stopped.edges))
        counts = stopped.observed.streams["biolatency"]
        return {"biolatency": replace(counts, in_flight_at_stop=len(still_open))}

    def latencies(self) -> LatencyHistogram:
        return self.device

    @property
    def overflow(self) -> int:
        return self.device.overflow

    def _disks(self, edges: tuple[Edge, Edge]) -> Mapping[str, DiskReadings]:
        if self._read is None or self._read[0] is not edges:
            self._read = edges, disk_readings(edges)
        return self._read[1]

    def _lost_by_folding(self, stream: str) -> str:
        text = "their device, operation and size are not known"
        if untimed := self._folded_untimed[stream]:
            text += f", {untimed:,} of them in no histogram"
        return text if self.scoped else f"{text}, and so the block_ checks were left out"

    def _is_comparable(self, readings: DiskReadings, device: str, number: int | None) -> bool:
        """Whether the kernel's counts of a disk should be ours.

        Drivers that take bios count them each in its own way, so of those it is only checked that
        none goes without being measured. What has disks below is measured there.
        """
        if readings.takes_bios:
            return number is None and not self.stacking.below(device)
        return True

    def _take_some(self, events: Words) -> None:
        kinds = events[:, 0] >> np.uint64(LATENCY_BITS)
        if not self.scoped:
            self._mark_stacked(events, kinds)
        self.table.take(events, kinds)
        left_out = (kinds & self._table_only) != 0
        if left_out.any():
            events = events[~left_out]
        self.device.fold(events[:, 0], LATENCY_MAX)
        with_queue = events[:, 1]
        unknown = with_queue > LATENCY_MAX
        if unknown.any():
            with_queue = with_queue[~unknown]
        self.with_queue.fold(with_queue)

    def _mark_stacked(self, events: Words, kinds: Words) -> None:
        """Mark requests on disks that lie on others, where the same I/O is seen again.

        In a scoped run it is not: kernel threads submit it there.
        """
        devices = events[:, 2]
        for device in distinct(devices):
            if self.stacking.below(device_name(device)):
                kinds[devices == device] |= np.uint64(BLOCK_STACKED)


def _still_open(stopped: Stopped, disks: Mapping[str, DiskReadings]) -> open_requests.Requests:
    table = stopped.observed.tables["requests"]
    return open_requests.open_requests(table, stopped.stop_ns, disks)


def _checks_of(
    device: str, readings: DiskReadings, completed: Mapping[str, int], consequence: str
) -> Iterator[Check]:
    growth, outer = readings.growth(), readings.outer_growth()
    if growth is None or outer is None:
        return
    for operation, kernel in growth.items():
        ours = completed[operation]
        if kernel or ours:
            excess = max(0, outer[operation] - kernel)
            yield Check(
                f"block_{operation}_{device}",
                "requests",
                ours=ours,
                kernel=kernel,
                bound=RELATIVE_BOUND,
                slack=DISK_SLACK,
                excess=excess,
                consequence=consequence,
            )


def _consequence(edges: tuple[Edge, Edge]) -> str:
    """Return what a failed check means; one interrupt may complete as many requests as there are
    in flight, so process 1 is named however seldom it ran."""
    text = "Take the counts and times of this disk as uncertain by that share"
    return f"{text}. {words_on_process_1(edges)}" if switched_out_of_process_1(edges) else text
