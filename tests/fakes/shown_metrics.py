"""A store with all kinds of metrics in it, and metrics of an agent, for tests of the page."""

from fakes.totals import run_totals

from agent.aggregate.series import UNAVAILABLE, LabelSet, LastRun, SeriesStore
from agent.aggregate.totals import LatencyTotals
from agent.internal_metrics import InternalMetric
from agent.model import Labels, Report

DELIMITED = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)
BASELINE = LabelSet("baseline", "python", "numpy", "c0ffee", "bench-7", "d00d")
SYSCALLS = {"futex": 1250, "fsync": 45, "openat": 230, "read": 8900, "write": 450, "other": 7}
CREATED, STARTED = 1792400400.25, 1792400000.0
LAST = LastRun(
    1792400500.5,
    "degraded",
    {
        "chainbench_last_run_runqlat_seconds": {"50": 2.5e-06, "99.9": 0.25},
        "chainbench_last_run_runqlat_waits": 13,
        "chainbench_last_run_wall_seconds": {"computing": 1.5, "blocked": 0.0},
    },
)

INTERNAL = (
    InternalMetric("chainbench_agent_build_info", "Version.", "gauge", (({"version": "1"}, 1),)),
    InternalMetric(
        "chainbench_agent_events_lost_total",
        'Lost "events"\nby stream, \\ included.',
        "counter",
        (({"stream": "runqlat"}, 3), ({"stream": "biolatency"}, 0)),
    ),
)


def latencies(*counts: int) -> LatencyTotals:
    """Return totals with ``counts`` from the lowest bucket up, and 1 beyond the highest bound."""
    padded = (*counts, *[0] * (20 - len(counts)), 1)
    return LatencyTotals(padded, sum_us=1234567.25, count=sum(padded))


def a_store() -> SeriesStore:
    store = SeriesStore(cap=4, now=lambda: CREATED)
    store.commit(BASELINE._replace(commit="idle longest"), run_totals(exec_count=9), "success")
    totals = run_totals(latencies(5, 0, 7), latencies(), 1250.5, 12, SYSCALLS)
    store.commit(BASELINE, totals, "success", LAST)
    nothing = LastRun(1792400600.0, UNAVAILABLE)
    store.commit(BASELINE._replace(variant='q"u\\o\nte'), {}, "fail", nothing)
    report = Report(Labels(), 1500.0, 1200.0, -20.0, baseline_success=30, optimized_success=0)
    store.report(BASELINE, report)
    return store
