"""A run's totals by metric family of the contract, in a form that is short to write in tests."""

from collections.abc import Mapping
from typing import TypeVar

from agent.aggregate.series import Series
from agent.aggregate.totals import Count, Counts, Gauge, LatencyTotals, Total
from agent.sections.biolatency.metrics import LATENCY as BIOLATENCY
from agent.sections.exec.metrics import EXECS
from agent.sections.offcpu.metrics import BLOCKED
from agent.sections.runqlat.metrics import LATENCY as RUNQLAT
from agent.sections.syscall_counts.metrics import CALLS

T = TypeVar("T", bound=Total)


def run_totals(
    runqlat: LatencyTotals | None = None,
    biolatency: LatencyTotals | None = None,
    offcpu_ms: float | None = None,
    exec_count: int | None = None,
    syscalls: Mapping[str, int] | None = None,
) -> dict[str, Total]:
    """Return a run's totals; None means not measured."""
    found: dict[str, Total | None] = {
        RUNQLAT.name: runqlat,
        BIOLATENCY.name: biolatency,
        BLOCKED.name: None if offcpu_ms is None else Gauge(offcpu_ms),
        EXECS.name: None if exec_count is None else Count(exec_count),
        CALLS.name: None if syscalls is None else Counts(syscalls),
    }
    return {name: total for name, total in found.items() if total is not None}


def only(kind: type[T], total: Total | None) -> T | None:
    assert total is None or isinstance(total, kind)
    return total


class Shown:
    """The totals of a label set's series, under the same names; None if it has no such total."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self.runs = series.runs

    @property
    def runqlat(self) -> LatencyTotals | None:
        return only(LatencyTotals, self.series.totals.get(RUNQLAT.name))

    @property
    def biolatency(self) -> LatencyTotals | None:
        return only(LatencyTotals, self.series.totals.get(BIOLATENCY.name))

    @property
    def offcpu_ms(self) -> float | None:
        total = only(Gauge, self.series.totals.get(BLOCKED.name))
        return None if total is None else total.value

    @property
    def exec_count(self) -> int | None:
        total = only(Count, self.series.totals.get(EXECS.name))
        return None if total is None else total.value

    @property
    def syscalls(self) -> Mapping[str, float] | None:
        total = only(Counts, self.series.totals.get(CALLS.name))
        return None if total is None else total.values
