"""What a collector reports to the recorder: how a run was armed, and what was observed."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.streams.collect.cpu_quota import NOTHING_KNOWN, Throttling
from agent.streams.collect.tables import Blocked, OpenWaits, Stops
from agent.streams.collect.task_summaries import Reports, Summaries, no_reports
from agent.streams.shared.kernel_counts import Edge


@dataclass(frozen=True, slots=True)
class Arming:
    """The start of a run. Times are ns of CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns()."""

    start_ns: int
    hooks: Mapping[str, tuple[str, ...]]
    """Attached hooks by section; a section that is not here could not be armed."""
    unavailable: Mapping[str, str]
    """The reason for each requested section or detail that could not be armed."""
    transport: str
    timing: str
    scope: Mapping[str, Any]
    """As requested, with the process that it resolved to."""
    versions: Mapping[str, str]
    map_bytes: int = 0
    """Kernel memory of the maps that the run uses."""
    details: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Attached hooks by detail; only details that are measured."""
    gaps: tuple[str, ...] = ()
    """What the run cannot see of the tasks in its scope, in words."""
    no_wall: str = ""
    """Why it is not measured where the wall time goes, although the run could have had that."""


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """One stream's account, in events."""

    produced: int = 0
    received: int = 0
    folded: int = 0
    """Of those received, folded in the kernel because the transport was full."""
    lost: int = 0
    """Dropped by the kernel side because the transport was full."""
    unmatched: int = 0
    clamped: int = 0
    collided: int = 0
    in_flight_at_start: int = 0
    in_flight_at_stop: int = 0
    excluded: int = 0

    def by_name(self) -> dict[str, int]:
        """Return each count, in the order of the fields; ``asdict`` takes ten times as long."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WaitStacks:
    """Kernel stacks that tasks waited in, for a run that has ended."""

    functions: Mapping[str, Sequence[int]]
    """Numbers of the sampled stacks, by the function that waits."""
    open_slots: NDArray[np.int64]
    """Indexes of the slots whose tasks were blocked at the stop."""
    open_ns: NDArray[np.uint64]
    """How long each had been blocked, within the run."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything but the distributions, which the sink has. During a run: everything so far."""

    blocked: Blocked
    syscalls: Mapping[str, int]
    """Calls by name; only syscalls that were made."""
    streams: Mapping[str, StreamCounts]
    blocked_counts: StreamCounts
    """Off-CPU intervals. The kernel side sums them, so none is ever lost in transit."""
    counters: Mapping[str, int]
    drains: int
    drain_seconds: float
    longest_drain_gap_s: float = 0.0
    """The longest time from one drain to the next."""
    stops: Stops = field(default_factory=Stops.none)
    waiting: OpenWaits = field(default_factory=OpenWaits)
    """Run-queue waits that are still open: in no histogram."""
    until_ns: int = 0
    """The time up to which open intervals count (CLOCK_MONOTONIC)."""
    scoped: bool = False
    details: tuple[str, ...] = ()
    """The details that are measured."""
    tables: Mapping[str, mmap.mmap | bytes] = field(default_factory=dict)
    """Memory of the sections' own tables by name, which the programs write to during a run."""
    wait_stacks: WaitStacks | None = None
    """Known only at the end of a run."""
    exec_failures: Mapping[str, int] | None = None
    """Counts by error name; None if they are not known."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The end of a run."""

    stop_ns: int
    observed: Observed
    edges: tuple[Edge, Edge]
    """The kernel's counts and ours, at the beginning and at the end of the run."""
    summaries: Summaries
    """Tasks alive at the stop."""
    programs: tuple[Mapping[str, Any], ...] = ()
    """Per program: runs and their ns if the kernel counts them; runs skipped due to recursion."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What went wrong during the run, by stable code."""
    refused_records: int | None = None
    """Attempts to submit to a full buffer, as the kernel counts them for perf buffers."""
    scope: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the scope only at the stop."""
    gaps: tuple[str, ...] = ()
    """What the run did not see of the tasks in its scope, in words."""
    tree_ended_ns: int | None = None
    """When the last task of the scope's tree exited; None if any was left, or there is no tree."""
    wall_contradicted: int | None = None
    """Tasks that did something else at the stop than the wall time has them do; None: not known."""
    wall_arrivals: int = 0
    """Others, which were on a CPU at the stop while it counted them as waiting."""
    reports: Reports = field(default_factory=no_reports)
    """Those of ``summaries``, in runs that say where the wall time went."""
    throttling: Throttling = NOTHING_KNOWN
    """What the CPU quotas of the scope's control groups did."""
