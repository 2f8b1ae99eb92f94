"""Block I/O latency as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.biolatency.evidence import BiolatencyFold
from agent.streams.collect.observed import Observed

LATENCY = Family(
    "chainbench_biolatency_microseconds", "histogram", "Block I/O latency in microseconds."
)
FAMILIES = (LATENCY,)


def totals(fold: BiolatencyFold, observed: Observed) -> dict[str, Total]:
    return {LATENCY.name: fold.device.totals()}
