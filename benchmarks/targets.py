"""The targets of the suite, and whether a result meets them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agent.nouns import counted
from agent.overhead.results import Result, WorkloadResult
from agent.overhead.table import interval_text
from agent.statistics.estimate import Estimate

PASS, FAIL, UNKNOWN, REPORTED = "pass", "FAIL", "not measured", "reported"
ENOUGH_PAIRS = 60
"""The pairs that a ratio of `HELD` needs; with fewer, its interval is too wide to judge."""
WITHIN = 0.02
"""The overhead that all five sections may add to pgbench and fio, unless the floor is higher."""


@dataclass(frozen=True, slots=True)
class RatioTarget:
    """The ratio of two configurations' overheads, on the pipe ping-pong, and its limit if any."""

    text: str
    numerator: str
    denominator: str
    limit: float | None = None


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

HELD = (
    RatioTarget("runqlat alone / floor reading the clock", "runqlat", "floor-clock", 1.25),
    RatioTarget("all five / floor of all their events", "all", "floor-all", 1.25),
    RatioTarget("all five / five of libbpf-tools at once", "all", "libbpf-all", 0.15),
)
"""Must hold on any machine, by the upper end of the interval over at least `ENOUGH_PAIRS`."""

RATIOS = (RatioTarget("all five, perf transport / ring transport", "all-perf", "all", 1.15),)
"""Judged by the median."""

FIGURES = (
    RatioTarget("runqlat alone / bcc runqlat", "runqlat", "bcc-runqlat"),
    RatioTarget("all five / bcc runqlat", "all", "bcc-runqlat"),
    RatioTarget("all five / bpftrace one-liner", "all", "bpftrace"),
    RatioTarget("all five by accounting / bcc runqlat", "all-accounting", "bcc-runqlat"),
    RatioTarget("runqlat alone / libbpf-tools runqlat", "runqlat", "libbpf-runqlat"),
)
"""Have no limit: what a hash map and a call cost others depends on the processor."""

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


def held_rows(result: Result | None) -> list[Row]:
    """Return the rows of `HELD`."""
    pipe = result.workload("pipe") if result else None
    return [_held_row(target, pipe) for target in HELD]


def ratio_rows(result: Result | None) -> list[Row]:
    """Return the rows of `RATIOS`, those of pgbench and fio, and those of `FIGURES`."""
    pipe = result.workload("pipe") if result else None
    return [
        *(_ratio_row(target, pipe) for target in RATIOS),
        *(_within_row(name, result) for name in ("pgbench", "fio")),
        *(_ratio_row(target, pipe) for target in FIGURES),
    ]


def part_rows(figures: Mapping[str, float]) -> list[Row]:
    """Return the rows of `PARTS`."""
    return [_part_row(target, figures.get(target.figure)) for target in PARTS]


def failed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.verdict == FAIL]


def _held_row(target: RatioTarget, pipe: WorkloadResult | None) -> Row:
    row = _ratio_row(target, pipe)
    ratio = pipe.ratio(target.numerator, target.denominator) if pipe else None
    if pipe is None or ratio is None:
        return row
    pairs = pipe.shared_rounds(target.numerator, target.denominator)
    if pairs < ENOUGH_PAIRS:
        return replace(row, verdict=f"{counted(pairs, 'pair')}, needs {ENOUGH_PAIRS}")
    return replace(row, verdict=_judge(ratio.high, target.limit))


def _ratio_row(target: RatioTarget, pipe: WorkloadResult | None) -> Row:
    ratio = pipe.ratio(target.numerator, target.denominator) if pipe else None
    limit = "" if target.limit is None else f"≤ {target.limit:.2f}"
    if ratio is None:
        return Row(target.text, limit, "", UNKNOWN)
    return Row(target.text, limit, interval(ratio), _judge(ratio.middle, target.limit))


def _judge(found: float, limit: float | None) -> str:
    if limit is None:
        return REPORTED
    return PASS if found <= limit else FAIL


def _within_row(name: str, result: Result | None) -> Row:
    workload = result.workload(name) if result else None
    measured = workload.configuration("all") if workload else None
    floor = workload.noise_floor() if workload else None
    text = f"{name} with all five, slowdown"
    if measured is None or floor is None:
        return Row(text, f"≤ {1 + WITHIN:.2f}", "", UNKNOWN)
    allowed = max(WITHIN, floor)
    estimate = measured.estimate()
    verdict = _judge(estimate.middle - 1, allowed)
    return Row(text, f"≤ {1 + allowed:.3f}", interval(estimate, digits=3), verdict)


def _part_row(target: PartTarget, found: float | None) -> Row:
    limit = f"≤ {target.limit:g}"
    if found is None:
        return Row(target.text, limit, "", UNKNOWN)
    return Row(target.text, limit, f"{found:.4g}", _judge(found, target.limit))


def interval(estimate: Estimate, digits: int = 2) -> str:
    """Return an estimate as text: ``0.41 (0.38 – 0.44)``."""
    bounds = interval_text(estimate, digits, " – ") if estimate.has_interval else "no interval"
    return f"{estimate.middle:.{digits}f} ({bounds})"
