"""Run-queue latency as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.runqlat.evidence import RunqlatFold
from agent.streams.collect.observed import Observed

LATENCY = Family(
    "chainbench_runqlat_microseconds",
    "histogram",
    "CPU scheduler run-queue latency in microseconds.",
)
FAMILIES = (LATENCY,)


def totals(fold: RunqlatFold, observed: Observed) -> dict[str, Total]:
    return {LATENCY.name: fold.histogram.totals()}
