"""Off-CPU time as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Gauge, Total
from agent.sections.fold import milliseconds
from agent.sections.offcpu.evidence import OffcpuFold
from agent.streams.collect.observed import Observed

BLOCKED = Family(
    "chainbench_offcpu_milliseconds_total",
    "gauge",
    "Off-CPU time of the last run in milliseconds.",
)
FAMILIES = (BLOCKED,)


def totals(fold: OffcpuFold, observed: Observed) -> dict[str, Total]:
    return {BLOCKED.name: Gauge(milliseconds(observed.blocked.of_user_tasks_ns()))}
