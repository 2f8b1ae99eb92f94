"""Totals of runs, as ``/metrics`` exports them: they are added up, and never go down."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from agent.aggregate.native import NONE, NativeCounts

LATENCY_BOUNDS_US = tuple(2**k for k in range(20))
"""Upper bounds of the exported latency buckets, except the last, which is infinite."""


class Total(ABC):
    """The value of one metric family for one label set. Immutable."""

    outlives_its_run: ClassVar[bool] = True
    """Whether the value stays if a later run with the same labels did not measure it."""

    @abstractmethod
    def plus(self, later: Self) -> Self:
        """Return the value that includes a later run."""

    @abstractmethod
    def not_below(self, earlier: Self) -> Self:
        """Return this value, or ``earlier`` if any number in it has gone down since then."""


@dataclass(frozen=True, slots=True)
class LatencyTotals(Total):
    """A latency distribution in exported buckets."""

    bucket_counts: tuple[int, ...]
    """21 counts, not cumulative: one per bound of ``LATENCY_BOUNDS_US``, then the rest."""
    sum_us: float
    count: int
    native: NativeCounts = NONE
    """The same latencies, in buckets of Prometheus's native histograms."""

    def plus(self, later: Self) -> Self:
        pairs = zip(self.bucket_counts, later.bucket_counts, strict=True)
        return type(self)(
            bucket_counts=tuple(mine + theirs for mine, theirs in pairs),
            sum_us=self.sum_us + later.sum_us,
            count=self.count + later.count,
            native=self.native.plus(later.native),
        )

    def not_below(self, earlier: Self) -> Self:
        pairs = zip(self.bucket_counts, earlier.bucket_counts, strict=True)
        grew = self.sum_us >= earlier.sum_us and all(now >= then for now, then in pairs)
        return self if grew and not self.native.is_below(earlier.native) else earlier


@dataclass(frozen=True, slots=True)
class Count(Total):
    """A counter."""

    value: int

    def plus(self, later: Self) -> Self:
        return type(self)(self.value + later.value)

    def not_below(self, earlier: Self) -> Self:
        return self if self.value >= earlier.value else earlier


@dataclass(frozen=True, slots=True)
class Counts(Total):
    """A counter with one more label, by that label's value."""

    values: Mapping[str, float]

    def plus(self, later: Self) -> Self:
        names = [*self.values, *(name for name in later.values if name not in self.values)]
        return type(self)({n: self.values.get(n, 0) + later.values.get(n, 0) for n in names})

    def not_below(self, earlier: Self) -> Self:
        grew = all(self.values.get(name, -1) >= then for name, then in earlier.values.items())
        return self if grew else earlier


@dataclass(frozen=True, slots=True)
class Parts(Counts):
    """The same of parts that trade places: what was counted as one may turn out to be another."""

    def not_below(self, earlier: Self) -> Self:
        names = [*self.values, *(name for name in earlier.values if name not in self.values)]
        return type(self)({n: max(self.values.get(n, 0), earlier.values.get(n, 0)) for n in names})


@dataclass(frozen=True, slots=True)
class Gauge(Total):
    """A value of the last run only."""

    outlives_its_run: ClassVar[bool] = False
    value: float

    def plus(self, later: Self) -> Self:
        return later

    def not_below(self, earlier: Self) -> Self:
        return self


RunTotals = Mapping[str, Total]
"""One run's totals by metric family name; families that it did not measure are absent."""


def added(base: RunTotals, later: RunTotals) -> dict[str, Total]:
    """Return the sum of both; what the later run did not measure stays, except gauges."""
    kept = {name: total for name, total in base.items() if total.outlives_its_run or name in later}
    return kept | {
        name: kept[name].plus(total) if name in kept else total for name, total in later.items()
    }


def not_below(now: RunTotals, earlier: RunTotals) -> dict[str, Total]:
    """Return a run's totals as of now, but the earlier total of any family that has gone down.

    A run's counts only grow, so nothing goes down unless something was miscounted; even then
    the reader of a counter must not take it for a restart.
    """
    kept = {name: total for name, total in earlier.items() if total.outlives_its_run}
    return kept | {
        name: total.not_below(earlier[name]) if name in earlier else total
        for name, total in now.items()
    }
