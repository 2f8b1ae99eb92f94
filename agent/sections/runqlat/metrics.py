"""Run-queue latency as ``/metrics`` exports it."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Total
from agent.sections.last_run import LastRunFigures, percentiles_s
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
FAMILIES = (LATENCY, LAST_RUN)


def totals(fold: RunqlatFold, observed: Observed) -> dict[str, Total]:
    return {LATENCY.name: fold.histogram.totals()}


def last_run(fold: RunqlatFold) -> LastRunFigures:
    return {LAST_RUN.name: percentiles_s(fold.histogram)}
