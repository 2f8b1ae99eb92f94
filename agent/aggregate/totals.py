"""What a run has counted, in the numbers that ``/metrics`` exports: added up, and never falling."""

from collections.abc import Mapping
from dataclasses import dataclass

LATENCY_BOUNDS_US = tuple(2**k for k in range(20))
"""Upper bounds of the exported latency buckets, less the last one, which is infinite."""


@dataclass(frozen=True, slots=True)
class LatencyTotals:
    """A latency distribution in exported buckets."""

    bucket_counts: tuple[int, ...]
    """21 counts, not cumulative: one per bound of ``LATENCY_BOUNDS_US``, then the rest."""
    sum_us: float
    count: int

    def __add__(self, other: "LatencyTotals") -> "LatencyTotals":
        pairs = zip(self.bucket_counts, other.bucket_counts, strict=True)
        return LatencyTotals(
            bucket_counts=tuple(mine + theirs for mine, theirs in pairs),
            sum_us=self.sum_us + other.sum_us,
            count=self.count + other.count,
        )

    def reaches(self, earlier: "LatencyTotals") -> bool:
        """Whether no number here is below what it was ``earlier``."""
        pairs = zip(self.bucket_counts, earlier.bucket_counts, strict=True)
        return self.sum_us >= earlier.sum_us and all(now >= then for now, then in pairs)


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What one run counted; None stands for a section that was not measured."""

    runqlat: LatencyTotals | None = None
    biolatency: LatencyTotals | None = None
    offcpu_ms: float | None = None
    exec_count: int | None = None
    syscalls: Mapping[str, int] | None = None
    """By the names of the contract, the rest under ``other``."""

    def __add__(self, later: "RunTotals") -> "RunTotals":
        """The counters of both runs; off-CPU time is a gauge, of the later run only."""
        return RunTotals(
            runqlat=_latencies_added(self.runqlat, later.runqlat),
            biolatency=_latencies_added(self.biolatency, later.biolatency),
            offcpu_ms=later.offcpu_ms,
            exec_count=_counts_added(self.exec_count, later.exec_count),
            syscalls=_syscalls_added(self.syscalls, later.syscalls),
        )

    def not_below(self, earlier: "RunTotals") -> "RunTotals":
        """These totals, but a section that fell since ``earlier`` as it was then.

        A run's counts only grow, so nothing falls unless something was miscounted; even then
        the reader of a counter must not take it for a restart.
        """
        return RunTotals(
            runqlat=_latencies_not_below(self.runqlat, earlier.runqlat),
            biolatency=_latencies_not_below(self.biolatency, earlier.biolatency),
            offcpu_ms=self.offcpu_ms,
            exec_count=_count_not_below(self.exec_count, earlier.exec_count),
            syscalls=_syscalls_not_below(self.syscalls, earlier.syscalls),
        )


def _latencies_added(a: LatencyTotals | None, b: LatencyTotals | None) -> LatencyTotals | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _counts_added(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _syscalls_added(
    a: Mapping[str, int] | None, b: Mapping[str, int] | None
) -> Mapping[str, int] | None:
    if a is None or b is None:
        return a if b is None else b
    names = [*a, *(name for name in b if name not in a)]
    return {name: a.get(name, 0) + b.get(name, 0) for name in names}


def _latencies_not_below(
    now: LatencyTotals | None, then: LatencyTotals | None
) -> LatencyTotals | None:
    if then is None or (now is not None and now.reaches(then)):
        return now
    return then


def _count_not_below(now: int | None, then: int | None) -> int | None:
    if then is None or (now is not None and now >= then):
        return now
    return then


def _syscalls_not_below(
    now: Mapping[str, int] | None, then: Mapping[str, int] | None
) -> Mapping[str, int] | None:
    if then is None:
        return now
    if now is not None and all(now.get(name, -1) >= count for name, count in then.items()):
        return now
    return then
