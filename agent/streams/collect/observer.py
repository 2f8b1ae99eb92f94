"""What the kernel side's tables show of a run, and of its edges."""

import mmap
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from agent.sections.exec.probe import EXEC_FAILURES
from agent.sections.probes import PROBES
from agent.streams.collect.observed import Observed, StreamCounts, WaitStacks
from agent.streams.collect.tables import Tables, mapped_table
from agent.streams.drain.batches import OpenBatches
from agent.streams.drain.folded import FoldedTables
from agent.streams.drain.poller import Drain
from agent.streams.shared.kernel_counts import (
    Edge,
    KernelCounts,
    SectionCounts,
    differences,
    online_ranges,
    process_1_switches,
    read_kernel_counts,
    read_section_counts,
)
from agent.streams.shared.layout import COUNTER_FIELDS, STREAM_NAMES, STREAM_RUNQLAT, Geometry
from agent.streams.shared.plan import Plan
from agent.streams.shared.syscall_names import syscall_name

EDGE_ATTEMPTS = 3
EDGE_SWITCHES = 50
"""Context switches of the machine while its counts are read, which takes 0.1 ms on two CPUs; if
there are more, the counts are read again."""


class Mapped:
    """The privileged side's maps, mapped into this process once for all runs."""

    def __init__(self, geometry: Geometry, fds: Mapping[str, int]) -> None:
        """``fds``: those of messages.TABLES, by name. Those of folded.MAPS must stay open."""
        self.geometry = geometry
        self.batches = OpenBatches(fds["batches"], geometry)
        self.tables = Tables(fds["counters"], fds["slots"], geometry)
        self._fds = fds
        sizes = geometry.map_sizes()
        self.section_tables = {
            table.name: mapped_table(fds[table.name], sizes[table.name])
            for probe in PROBES
            for table in probe.tables
        }

    def folded(self) -> FoldedTables:
        """Return the tables of what one run has folded in the kernel."""
        return FoldedTables(self._fds, self.geometry, self.batches)


class Observer:
    """What the maps show of one run."""

    def __init__(
        self,
        mapped: Mapped,
        plan: Plan,
        details: tuple[str, ...],
        detail_tables: Mapping[str, mmap.mmap],
        clock_offset_ns: int = 0,
    ) -> None:
        """``details``: those measured; ``detail_tables``: the plan's, mapped for this run.

        ``clock_offset_ns``: bpf_ktime_get_ns() - CLOCK_MONOTONIC as this process reads it.
        """
        self.batches = mapped.batches
        self.tables = mapped.tables
        self._plan = plan
        self._details = details
        self._clock_offset_ns = clock_offset_ns
        self._section_tables = {**mapped.section_tables, **detail_tables}
        self._streams = reported_streams(plan.sections, details)

    def now_ns(self) -> int:
        """Return the current time on the clock of bpf_ktime_get_ns()."""
        return time.monotonic_ns() + self._clock_offset_ns

    def tree_ended_ns(self) -> int | None:
        """Return when the last task of the scope's tree exited, on that clock; None if any is left.

        A task that had begun to exit as the run began is not of the tree.
        """
        return self.tables.tree_ended_ns()

    def edge(self) -> Edge:
        """Read the counts at one edge of the run, without those that the supervisor reads there."""
        kernel, switches, forks, later = self._counted()
        return Edge(
            kernel=kernel,
            switches=switches,
            forks=forks,
            later=later,
            suspended_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns(),
            online_cpus=online_ranges(),
            sections=read_section_counts(self._plan.sections, at_once=False),
            process_1_switches=process_1_switches(),
        )

    def with_outer(self, edge: Edge, outer: SectionCounts, differing: SectionCounts) -> Edge:
        """Add the supervisor's readings to an edge; without any, one of ours stands for both."""
        own = {} if differing else self.counts_at_once()
        return edge.with_outer({**own, **outer}, differing or differences(own, own))

    def counts_at_once(self) -> SectionCounts:
        """Read those that the supervisor reads at an edge, where it is not there to do so."""
        return read_section_counts(self._plan.sections, at_once=True)

    def _counted(self) -> tuple[KernelCounts, int, int, KernelCounts]:
        """Return our counts of switches and forks between two readings of the kernel's.

        Try again, a few times, if this process lost the CPU between the readings.
        """
        for _ in range(EDGE_ATTEMPTS):
            kernel = read_kernel_counts()
            ours = self.batches.seen(STREAM_RUNQLAT), self.tables.count("all_forks")
            later = read_kernel_counts()
            if later.context_switches - kernel.context_switches <= EDGE_SWITCHES:
                break
        return kernel, *ours, later

    def observed(self, drain: Drain, until_ns: int | None) -> Observed:
        """Return everything up to now, or to the stop; open intervals count up to then."""
        tables = self.tables
        now_ns = until_ns or self.now_ns()
        ended = tables.blocked()
        scoped = self._plan.scoped
        still = tables.still_blocked(now_ns, with_primed=scoped)
        waiting = tables.waiting_for_a_cpu(now_ns)
        return Observed(
            blocked=ended + still,
            stops=tables.stops() + tables.open_stops(now_ns),
            waiting=waiting,
            syscalls=_syscalls(tables),
            streams=self._stream_counts(drain, waiting.count),
            blocked_counts=_blocked_counts(tables, int(ended.count.sum()), int(still.count.sum())),
            counters=MappingProxyType({name: tables.count(name) for name in COUNTER_FIELDS}),
            drains=drain.drains,
            drain_seconds=drain.seconds,
            longest_drain_gap_s=drain.longest_gap_s,
            until_ns=now_ns,
            scoped=scoped,
            details=self._details,
            tables=self._section_tables,
            exec_failures=tables.exec_failures() if EXEC_FAILURES.name in self._details else None,
        )

    def with_wait_stacks(
        self, observed: Observed, functions: Mapping[str, Sequence[int]]
    ) -> Observed:
        """Return ``observed``, of a run that has ended, with its stacks by function added."""
        slots, ns = self.tables.open_waits(observed.until_ns)
        return replace(observed, wait_stacks=WaitStacks(functions, slots, ns))

    def _stream_counts(self, drain: Drain, waiting: int) -> dict[str, StreamCounts]:
        batches = self.batches
        fields = {name: batches.totals(name) for name in ("lost", "unmatched", "clamped")}
        produced, collided = batches.produced(), batches.totals("collided")
        in_flight, excluded = batches.totals("in_flight"), batches.totals("excluded")
        return {
            name: StreamCounts(
                produced=produced[i],
                received=drain.ledger.received[i],
                folded=drain.ledger.folded[i],
                lost=fields["lost"][i],
                unmatched=fields["unmatched"][i],
                clamped=fields["clamped"][i],
                collided=collided[i],
                in_flight_at_start=in_flight[i],
                in_flight_at_stop=waiting if i == STREAM_RUNQLAT else 0,
                excluded=excluded[i],
            )
            for i, name in enumerate(STREAM_NAMES)
            if name in self._streams
        }


def reported_streams(sections: Collection[str], details: Collection[str]) -> frozenset[str]:
    """Return the streams that a run with these sections and details accounts for.

    That is all of them, except those of details and of on-request sections that it lacks.
    """
    silent = {
        stream.name
        for probe in PROBES
        for stream in probe.streams
        if probe.on_request and probe.name not in sections
    }
    silent |= {
        stream.name
        for probe in PROBES
        for detail in probe.details
        for stream in detail.streams
        if detail.name not in details
    }
    return frozenset(STREAM_NAMES) - silent


def _syscalls(tables: Tables) -> dict[str, int]:
    counts = enumerate(tables.syscalls().tolist())
    return {syscall_name(number): count for number, count in counts if count}


def _blocked_counts(tables: Tables, ended: int, still_open: int) -> StreamCounts:
    return StreamCounts(
        produced=ended,
        received=ended,
        unmatched=tables.count("blocked_unmatched"),
        clamped=tables.count("blocked_clamped"),
        collided=tables.count("blocked_collided"),
        in_flight_at_stop=still_open,
    )
