"""Off-CPU time as ``/metrics`` exports it."""

from collections.abc import Mapping

import numpy as np

from agent.aggregate.families import Family
from agent.aggregate.totals import Gauge, Parts, Total
from agent.sections.fold import milliseconds
from agent.sections.offcpu.evidence import OffcpuFold
from agent.sections.offcpu.probe import WALL as WALL_DETAIL
from agent.sections.offcpu.wall import so_far
from agent.streams.collect.observed import Observed

BLOCKED = Family(
    "chainbench_offcpu_milliseconds_total",
    "gauge",
    "Off-CPU time of the last run in milliseconds.",
)
WALL = Family(
    "chainbench_wall_seconds_total",
    "counter",
    "Wall time of runs with a scope, by what their tasks did together.",
    "state",
)
FAMILIES = (BLOCKED, WALL)


def wall_totals(by_state_ns: Mapping[str, int]) -> dict[str, Total]:
    """Return the wall time of a run. A state may be below 0 by less than CPUs' clocks differ."""
    return {WALL.name: Parts({state: max(ns, 0) / 1e9 for state, ns in by_state_ns.items()})}


def totals(fold: OffcpuFold, observed: Observed) -> dict[str, Total]:
    found: dict[str, Total] = {
        BLOCKED.name: Gauge(milliseconds(observed.blocked.of_user_tasks_ns()))
    }
    if WALL_DETAIL.name in observed.details:
        table = np.frombuffer(observed.tables["wall"], np.uint8)
        if by_state := so_far(table, observed.until_ns):
            found |= wall_totals(by_state)
    return found
