"""The targets of the suite, and whether a result meets them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.overhead.results import Result, WorkloadResult
from agent.overhead.stats import Estimate

PASS, FAIL, UNKNOWN = "pass", "FAIL", "not measured"
WITHIN = 0.02
"""The overhead that all five sections may add to pgbench and fio, unless the floor is higher."""


@dataclass(frozen=True, slots=True)
class RatioTarget:
    """A limit on the ratio of two configurations' overheads, on the pipe ping-pong."""

    text: str
    numerator: str
    denominator: str
    limit: float


@dataclass(frozen=True, slots=True)
class PartTarget:
    """A limit on a figure of ``python -m benchmarks micro``."""

    text: str
    figure: str
    limit: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the quantity, its limit, its measured value, the verdict."""

    text: str
    limit: str
    found: str
    verdict: str


HIGHEST_RATE = {
    "2_pipes": "2 ping-pongs",
    "4_pipes": "4 ping-pongs",
    "hackbench": "hackbench on all CPUs",
    "stopped": "2 ping-pongs, the agent stopped for a twelfth of the run",
}
"""The loads of `benchmarks.highest_rate`, with the agent in a session of its own."""
HELD_TO = (
    ("lost events", "lost_events", 0.0),
    ("unaccounted events", "unaccounted_events", 0.0),
    ("% of the kernel's context switches not seen", "switches_off_percent", 1.0),
    ("% of the kernel's run_delay not explained", "waits_off_percent", 1.0),
)
"""What each of them is held to: in words, the figure, its limit."""

RATIOS = (
    RatioTarget("runqlat alone / floor reading the clock", "runqlat", "floor-clock", 1.5),
    RatioTarget("runqlat alone / bcc runqlat", "runqlat", "bcc-runqlat", 0.42),
    RatioTarget("all five / bcc runqlat", "all", "bcc-runqlat", 0.70),
    RatioTarget("all five / bpftrace one-liner", "all", "bpftrace", 0.60),
    RatioTarget("all five by accounting / bcc runqlat", "all-accounting", "bcc-runqlat", 0.56),
    RatioTarget("all five, perf transport / ring transport", "all-perf", "all", 1.15),
)

PARTS = (
    PartTarget("userspace, ns per event at 200,000 events/s", "userspace_ns_per_event", 12),
    PartTarget("fold alone, 10⁶ values, ns per value", "fold_ns_per_value", 7),
    *(
        PartTarget(f"{text}, {load}", f"{name}_{figure}", limit)
        for name, load in HIGHEST_RATE.items()
        for text, figure, limit in HELD_TO
    ),
    PartTarget("PSS of all processes, idle, MB", "pss_idle_mb", 72),
    PartTarget("PSS of all processes, during a run, MB", "pss_running_mb", 80),
    PartTarget("kernel memory of maps, MB", "map_memory_mb", 16),
    PartTarget("first /start, ms", "start_first_ms", 1000),
    PartTarget("later /start, median ms", "start_later_ms", 10),
    PartTarget("/stop, median ms", "stop_ms", 25),
    PartTarget("/metrics with 200 label sets, median ms", "metrics_ms", 4),
    PartTarget("longest stall of the event loop, ms", "longest_stall_ms", 5),
    PartTarget("the same with a client asking every 2 ms, ms", "longest_stall_ms_asked", 5),
    PartTarget("idle agent, % of one CPU", "idle_cpu_percent", 0.1),
    PartTarget("idle agent, programs attached", "idle_attached", 0),
)


def ratio_rows(result: Result | None) -> list[Row]:
    """Return the rows of `RATIOS`, and those of pgbench and fio."""
    pipe = result.workload("pipe") if result else None
    rows = [_ratio_row(target, pipe) for target in RATIOS]
    return rows + [_within_row(name, result) for name in ("pgbench", "fio")]


def part_rows(figures: Mapping[str, float]) -> list[Row]:
    """Return the rows of `PARTS`."""
    return [_part_row(target, figures.get(target.figure)) for target in PARTS]


def failed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.verdict == FAIL]


def _ratio_row(target: RatioTarget, pipe: WorkloadResult | None) -> Row:
    ratio = pipe.ratio(target.numerator, target.denominator) if pipe else None
    limit = f"≤ {target.limit:.2f}"
    if ratio is None:
        return Row(target.text, limit, "", UNKNOWN)
    verdict = PASS if ratio.middle <= target.limit else FAIL
    return Row(target.text, limit, interval(ratio), verdict)


def _within_row(name: str, result: Result | None) -> Row:
    workload = result.workload(name) if result else None
    measured = workload.configuration("all") if workload else None
    floor = workload.noise_floor() if workload else None
    text = f"{name} with all five, slowdown"
    if measured is None or floor is None:
        return Row(text, f"≤ {1 + WITHIN:.2f}", "", UNKNOWN)
    allowed = max(WITHIN, floor)
    estimate = measured.estimate()
    verdict = PASS if estimate.middle - 1 <= allowed else FAIL
    return Row(text, f"≤ {1 + allowed:.3f}", interval(estimate, digits=3), verdict)


def _part_row(target: PartTarget, found: float | None) -> Row:
    limit = f"≤ {target.limit:g}"
    if found is None:
        return Row(target.text, limit, "", UNKNOWN)
    return Row(target.text, limit, f"{found:.4g}", PASS if found <= target.limit else FAIL)


def interval(estimate: Estimate, digits: int = 2) -> str:
    """Return an estimate as text: ``0.41 (0.38 – 0.44)``."""
    middle, low, high = (
        f"{value:.{digits}f}" for value in (estimate.middle, estimate.low, estimate.high)
    )
    return f"{middle} ({low} – {high})"
