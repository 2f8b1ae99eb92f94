"""Off-CPU time as ``/metrics`` exports it."""

from collections.abc import Mapping

import numpy as np

from agent.aggregate.families import Family
from agent.aggregate.totals import Gauge, Parts, Total
from agent.sections.fold import milliseconds
from agent.sections.last_run import LastRunFigures
from agent.sections.offcpu.evidence import OffcpuFold
from agent.sections.offcpu.probe import WALL as WALL_DETAIL
from agent.sections.offcpu.wall_tables import so_far
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
LAST_WALL = Family(
    "chainbench_last_run_wall_seconds",
    "gauge",
    "Wall time of the last run, if it had a scope, by what its tasks did together.",
    "state",
)
FAMILIES = (BLOCKED, WALL, LAST_WALL)


def wall_totals(by_state_ns: Mapping[str, int]) -> dict[str, Total]:
    """Return the wall time of a run."""
    return {WALL.name: Parts(_seconds(by_state_ns))}


def last_wall(by_state_ns: Mapping[str, int]) -> LastRunFigures:
    """Return that of a run that has ended."""
    return {LAST_WALL.name: _seconds(by_state_ns)}


def _seconds(by_state_ns: Mapping[str, int]) -> dict[str, float]:
    """Convert to seconds. A state may be below 0 by less than CPUs' clocks differ."""
    return {state: max(ns, 0) / 1e9 for state, ns in by_state_ns.items()}


def totals(fold: OffcpuFold, observed: Observed) -> dict[str, Total]:
    found: dict[str, Total] = {
        BLOCKED.name: Gauge(milliseconds(observed.blocked.of_user_tasks_ns()))
    }
    if WALL_DETAIL.name in observed.details:
        table = np.frombuffer(observed.tables["wall"], np.uint8)
        if by_state := so_far(table, observed.until_ns):
            found |= wall_totals(by_state)
    return found
