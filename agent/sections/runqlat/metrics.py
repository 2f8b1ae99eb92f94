"""Run-queue latency as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.last_run import LastRunFigures, of_latencies
from agent.sections.runqlat.evidence import RunqlatFold
from agent.streams.collect.observed import Observed

LATENCY = Family(
    "chainbench_runqlat_microseconds",
    "histogram",
    "CPU scheduler run-queue latency in microseconds.",
)
LAST_RUN = Family(
    "chainbench_last_run_runqlat_seconds",
    "gauge",
    "Run-queue latency of the last run in seconds, by percentile.",
    label="percentile",
)
LAST_WAITS = Family(
    "chainbench_last_run_runqlat_waits",
    "gauge",
    "Number of run-queue latencies that the last run's percentiles are of.",
)
FAMILIES = (LATENCY, LAST_RUN, LAST_WAITS)


def totals(fold: RunqlatFold, observed: Observed) -> dict[str, Total]:
    return {LATENCY.name: fold.histogram.totals()}


def last_run(fold: RunqlatFold) -> LastRunFigures:
    return of_latencies(fold.histogram, LAST_RUN, LAST_WAITS)
