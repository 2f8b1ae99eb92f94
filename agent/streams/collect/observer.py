"""What the kernel side's tables say of a run, and of its edges."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from agent.streams.collect.details import DetailTables
from agent.streams.collect.observed import NO_DETAILS, Observed, StreamCounts
from agent.streams.collect.tables import Tables
from agent.streams.drain.batches import OpenBatches
from agent.streams.drain.poller import Drain
from agent.streams.shared.kernel_counts import Edge, online_cpus, read_kernel_counts
from agent.streams.shared.layout import (
    COUNTER_FIELDS,
    STREAM_NAMES,
    STREAM_RUNQLAT,
    SYSCALL_COMPAT,
    Geometry,
)
from agent.streams.shared.syscall_names import syscall_names


def monotonic_ns() -> int:
    """Now, on the clock of bpf_ktime_get_ns()."""
    return time.monotonic_ns()


class Mapped:
    """The maps of the privileged side, as this process sees them; mapped once, for all runs."""

    def __init__(self, geometry: Geometry, fds: Mapping[str, int]) -> None:
        """``fds``: of messages.TABLES, by name."""
        self.geometry = geometry
        self.batches = OpenBatches(fds["batches"], geometry)
        self.tables = Tables(
            counters_fd=fds["counters"],
            slots_fd=fds["slots"],
            requests_fd=fds["requests"],
            geometry=geometry,
        )
        self.syscall_names = syscall_names()


class Observer:
    """What the maps say of one run."""

    def __init__(
        self, mapped: Mapped, scoped: bool, details: DetailTables | None, knows_failures: bool
    ) -> None:
        """``details``: the tables of what the run adds; ``knows_failures``: of execs."""
        self.batches = mapped.batches
        self.tables = mapped.tables
        self._names = mapped.syscall_names
        self._scoped = scoped
        self._details = details
        self._knows_failures = knows_failures

    def edge(self, outer_disks: Mapping[int, Mapping[str, int]]) -> Edge:
        """One edge of the run; the disks' counts are those that the supervisor read around it."""
        return Edge(
            kernel=read_kernel_counts(),
            switches=self.batches.seen(STREAM_RUNQLAT),
            forks=self.tables.count("all_forks"),
            suspended_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) - monotonic_ns(),
            online_cpus=online_cpus(),
            outer_disks=outer_disks,
        )

    def observed(self, drain: Drain, until_ns: int | None) -> Observed:
        """Everything up to now, or to the stop; what is still open counts up to then."""
        tables = self.tables
        now_ns = until_ns or monotonic_ns()
        ended = tables.blocked()
        still = tables.still_blocked(now_ns, with_primed=self._scoped)
        return Observed(
            blocked=ended + still,
            syscalls=self._syscalls(tables),
            streams=self._stream_counts(drain),
            blocked_counts=_blocked_counts(tables, int(ended.count.sum()), int(still.count.sum())),
            counters=MappingProxyType({name: tables.count(name) for name in COUNTER_FIELDS}),
            drains=drain.drains,
            drain_seconds=drain.seconds,
            details=self._details.observed(now_ns, self._scoped, self._syscall_name)
            if self._details
            else NO_DETAILS,
            exec_failures=tables.exec_failures() if self._knows_failures else None,
        )

    def with_wait_functions(
        self, observed: Observed, stacks: Mapping[str, Sequence[int]], stop_ns: int
    ) -> Observed:
        """The same with the kernel functions that the supervisor named, by their stacks."""
        if self._details is None or "wait_functions" not in self._details.details:
            return observed
        functions = self._details.wait_functions(stacks, *self.tables.open_waits(stop_ns))
        return replace(observed, details=replace(observed.details, wait_functions=functions))

    def _syscalls(self, tables: Tables) -> dict[str, int]:
        counts = enumerate(tables.syscalls().tolist())
        return {self._syscall_name(number): count for number, count in counts if count}

    def _syscall_name(self, number: int) -> str:
        if number == SYSCALL_COMPAT:
            return "compat"
        return self._names.get(number, f"syscall_{number}")

    def _stream_counts(self, drain: Drain) -> dict[str, StreamCounts]:
        batches, tables = self.batches, self.tables
        fields = {name: batches.totals(name) for name in ("lost", "unmatched", "clamped")}
        produced, collided = batches.produced(), batches.totals("collided")
        in_flight, excluded = batches.totals("in_flight"), batches.totals("excluded")
        open_at_stop = (tables.waiting_for_a_cpu(), tables.requests_under_way(), 0, 0)
        return {
            name: StreamCounts(
                produced=produced[i],
                received=drain.ledger.received[i],
                lost=fields["lost"][i],
                unmatched=fields["unmatched"][i],
                clamped=fields["clamped"][i],
                collided=collided[i],
                in_flight_at_start=in_flight[i],
                in_flight_at_stop=open_at_stop[i],
                excluded=excluded[i],
            )
            for i, name in enumerate(STREAM_NAMES)
        }


def _blocked_counts(tables: Tables, ended: int, still_open: int) -> StreamCounts:
    return StreamCounts(
        produced=ended,
        received=ended,
        unmatched=tables.count("blocked_unmatched"),
        clamped=tables.count("blocked_clamped"),
        collided=tables.count("blocked_collided"),
        in_flight_at_stop=still_open,
    )
