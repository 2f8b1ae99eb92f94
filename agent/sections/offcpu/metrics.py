"""Off-CPU time as ``/metrics`` exports it."""

from collections.abc import Mapping

from agent.aggregate.families import Family
from agent.aggregate.totals import Counts, Gauge, Total
from agent.sections.fold import milliseconds
from agent.sections.offcpu.evidence import OffcpuFold
from agent.streams.collect.observed import Observed

BLOCKED = Family(
    "chainbench_offcpu_milliseconds_total",
    "gauge",
    "Off-CPU time of the last run in milliseconds.",
)
WALL = Family(
    "chainbench_wall_seconds_total",
    "counter",
    "Wall time of finished runs with a scope, by what their tasks did together.",
    "state",
)
FAMILIES = (BLOCKED, WALL)


def wall_totals(by_state_ns: Mapping[str, int]) -> dict[str, Total]:
    """Return the wall time of a run that has ended; before, it is not known when it began.

    A state may be below 0 by less than CPUs' clocks differ; a counter may not.
    """
    return {WALL.name: Counts({state: max(ns, 0) / 1e9 for state, ns in by_state_ns.items()})}


def totals(fold: OffcpuFold, observed: Observed) -> dict[str, Total]:
    return {BLOCKED.name: Gauge(milliseconds(observed.blocked.of_user_tasks_ns()))}
