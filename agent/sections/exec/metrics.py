"""Execs as ``/metrics`` exports them."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Count, Total
from agent.sections.exec.evidence import ExecFold
from agent.streams.collect.observed import Observed

EXECS = Family("chainbench_exec_count_total", "counter", "Processes that called exec.")
FAMILIES = (EXECS,)


def totals(fold: ExecFold, observed: Observed) -> dict[str, Total]:
    return {EXECS.name: Count(fold.execs)}
