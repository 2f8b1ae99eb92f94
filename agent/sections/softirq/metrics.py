"""Softirqs as ``/metrics`` exports them."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Counts, Total
from agent.sections.softirq.evidence import SoftirqFold
from agent.streams.collect.observed import Observed

RUN = Family("chainbench_softirqs_total", "counter", "Softirqs run, by vector.", label="vector")
SECONDS = Family(
    "chainbench_softirq_seconds_total",
    "counter",
    "Time spent in softirqs, by vector.",
    label="vector",
)
FAMILIES = (RUN, SECONDS)


def totals(fold: SoftirqFold, observed: Observed) -> dict[str, Total]:
    histograms = {name: vector.histogram for name, vector in fold.vectors.items()}
    return {
        RUN.name: Counts({name: h.total_count for name, h in histograms.items()}),
        SECONDS.name: Counts({name: h.sum_ns / 1e9 for name, h in histograms.items()}),
    }
