"""What a run has counted, in the numbers that ``/metrics`` exports: added up, and never falling."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

LATENCY_BOUNDS_US = tuple(2**k for k in range(20))
"""Upper bounds of the exported latency buckets, less the last one, which is infinite."""


class Total(ABC):
    """The value of one metric family for one label set. Immutable."""

    outlives_its_run: ClassVar[bool] = True
    """Whether it still stands where a later run with the same labels did not measure it."""

    @abstractmethod
    def plus(self, later: Self) -> Self:
        """The value after a later run as well."""

    @abstractmethod
    def not_below(self, earlier: Self) -> Self:
        """This value, or ``earlier`` where any number in this one is below what it was then."""


@dataclass(frozen=True, slots=True)
class LatencyTotals(Total):
    """A latency distribution in exported buckets."""

    bucket_counts: tuple[int, ...]
    """21 counts, not cumulative: one per bound of ``LATENCY_BOUNDS_US``, then the rest."""
    sum_us: float
    count: int

    def plus(self, later: Self) -> Self:
        pairs = zip(self.bucket_counts, later.bucket_counts, strict=True)
        return type(self)(
            bucket_counts=tuple(mine + theirs for mine, theirs in pairs),
            sum_us=self.sum_us + later.sum_us,
            count=self.count + later.count,
        )

    def not_below(self, earlier: Self) -> Self:
        pairs = zip(self.bucket_counts, earlier.bucket_counts, strict=True)
        grew = self.sum_us >= earlier.sum_us and all(now >= then for now, then in pairs)
        return self if grew else earlier


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
class Gauge(Total):
    """A value of the last run alone."""

    outlives_its_run: ClassVar[bool] = False
    value: float

    def plus(self, later: Self) -> Self:
        return later

    def not_below(self, earlier: Self) -> Self:
        return self


RunTotals = Mapping[str, Total]
"""What one run counted, by the name of the metric family; what it did not measure is absent."""


def added(base: RunTotals, later: RunTotals) -> dict[str, Total]:
    """The totals of both; what the later run did not measure stays, but for gauges."""
    kept = {name: total for name, total in base.items() if total.outlives_its_run or name in later}
    return kept | {
        name: kept[name].plus(total) if name in kept else total for name, total in later.items()
    }


def not_below(now: RunTotals, earlier: RunTotals) -> dict[str, Total]:
    """The totals of a run as of now, but a family that fell since ``earlier`` as it was then.

    A run's counts only grow, so nothing falls unless something was miscounted; even then
    the reader of a counter must not take it for a restart.
    """
    kept = {name: total for name, total in earlier.items() if total.outlives_its_run}
    return kept | {
        name: total.not_below(earlier[name]) if name in earlier else total
        for name, total in now.items()
    }
