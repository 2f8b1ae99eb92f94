"""What a collector tells the recorder: how the run was armed, and what was observed in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.streams.collect.tables import Blocked
from agent.streams.collect.task_summaries import Summaries
from agent.streams.shared.kernel_counts import Edge


@dataclass(frozen=True, slots=True)
class Arming:
    """The start of a run. Times are ns of CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns()."""

    start_ns: int
    hooks: Mapping[str, tuple[str, ...]]
    """Attached hooks by section; a section that is not here could not be armed."""
    unavailable: Mapping[str, str]
    """Why, for each section that was asked for and could not be armed."""
    transport: str
    timing: str
    scope: Mapping[str, Any]
    """As asked for, with the root of the tree that came of it."""
    versions: Mapping[str, str]
    map_bytes: int = 0
    """Kernel memory of the maps that the run uses."""
    details: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By detail that is measured, the hooks that measure it."""


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """One stream's account of itself, in events."""

    produced: int = 0
    received: int = 0
    lost: int = 0
    """Dropped by the kernel side because the transport was full."""
    unmatched: int = 0
    clamped: int = 0
    collided: int = 0
    in_flight_at_start: int = 0
    in_flight_at_stop: int = 0
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class SyscallTimes:
    """One syscall within the run; calls that were open at its edges are clipped to it."""

    ns: int
    errors: int
    """Returned an error, those interrupted left out."""
    interrupted: int
    """Ended by a signal: started again by the kernel, or EINTR to the program."""
    in_flight: int
    """Not returned at the end."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Intervals in which tasks were blocked."""

    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class WaitFunctions:
    """Blocked time by kernel function: of the waits that were sampled, and of the others."""

    sampled: Mapping[str, Waits]
    unsampled: Waits
    refused: int
    """Stacks that found no room in the kernel's table; their waits are among the unsampled."""


@dataclass(frozen=True, slots=True)
class Details:
    """What was asked for beyond the sections; None or empty: it was not."""

    syscalls: Mapping[str, SyscallTimes] | None = None
    """By name, only those that returned or were open."""
    wait_functions: WaitFunctions | None = None
    """Known at the end of a run only."""
    streams: Mapping[str, StreamCounts] = field(default_factory=dict)


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything but the distributions, which the sink has. Of a running run: as far as it got."""

    blocked: Blocked
    syscalls: Mapping[str, int]
    """Calls by name, only those that were made."""
    streams: Mapping[str, StreamCounts]
    blocked_counts: StreamCounts
    """Off-CPU intervals: they are summed by the kernel side, so none is ever lost on the way."""
    counters: Mapping[str, int]
    drains: int
    drain_seconds: float
    details: Details = NO_DETAILS
    exec_failures: Mapping[str, int] | None = None
    """By the error's name; None where they are not known."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The end of a run."""

    stop_ns: int
    observed: Observed
    edges: tuple[Edge, Edge]
    """The kernel's counts and ours as the run began and as it ended."""
    summaries: Summaries
    """Tasks alive at the stop."""
    programs: tuple[Mapping[str, Any], ...] = ()
    """Per program: runs and their ns where the kernel counts them, runs skipped by recursion."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What went wrong on the way, by a stable code."""
    refused_records: int | None = None
    """Attempts to submit to a full buffer, by the kernel's own count where it has one: perf."""
