"""Block I/O latency as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.biolatency.evidence import BiolatencyFold
from agent.sections.last_run import LastRunFigures, of_latencies
from agent.streams.collect.observed import Observed

LATENCY = Family(
    "chainbench_biolatency_microseconds", "histogram", "Block I/O latency in microseconds."
)
LAST_RUN = Family(
    "chainbench_last_run_biolatency_seconds",
    "gauge",
    "Block I/O latency of the last run in seconds, by percentile.",
    label="percentile",
)
LAST_REQUESTS = Family(
    "chainbench_last_run_biolatency_requests",
    "gauge",
    "Number of block I/O latencies that the last run's percentiles are of.",
)
FAMILIES = (LATENCY, LAST_RUN, LAST_REQUESTS)


def totals(fold: BiolatencyFold, observed: Observed) -> dict[str, Total]:
    return {LATENCY.name: fold.device.totals()}


def last_run(fold: BiolatencyFold) -> LastRunFigures:
    return of_latencies(fold.device, LAST_RUN, LAST_REQUESTS)
