"""The five sections of evidence as lines of text. Shapes: the contract's, and what stands beside.

Each function takes one section's object and the columns it has, and returns lines.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.model import COUNTED_SYSCALLS
from agent.show.charts import Bar, chart, histogram
from agent.show.values import count, duration, mapping, milliseconds, number, percent, printable
from agent.show.values import rows as objects

QUANTILES = (
    ("min", "min_us"),
    ("p50", "p50_us"),
    ("p90", "p90_us"),
    ("p95", "p95_us"),
    ("p99", "p99_us"),
    ("p99.9", "p999_us"),
    ("max", "max_us"),
    ("mean", "mean_us"),
)
NAMES = 24
TOP = 10


def latency(section: Mapping[str, Any], width: int) -> list[str]:
    """Percentiles and the chart of a latency section; distributions nested in it in one line."""
    lines = [f"{count(section.get('count'))} samples, {count(section.get('lost'))} lost"]
    lines += wrapped([f"{name} {duration(section.get(key))}" for name, key in QUANTILES], width)
    lines += histogram(objects(section.get("histogram")), width)
    for name, nested in section.items():
        if isinstance(nested, dict) and "histogram" in nested:
            lines += beside(name, nested)
    return lines


def beside(name: str, nested: Mapping[str, Any]) -> list[str]:
    """A second distribution of the same events, such as a latency with the queue in it."""
    shown = ("p50_us", "p95_us", "p99_us", "max_us")
    values = [f"{label} {duration(nested.get(key))}" for label, key in QUANTILES if key in shown]
    return [f"{printable(name, NAMES)}: " + "   ".join(values)]


def offcpu(section: Mapping[str, Any], width: int) -> list[str]:
    """Blocked time and its reasons, each with its share of the total."""
    total = section.get("total_ms")
    bars = []
    for row in objects(section.get("top_reasons"))[:TOP]:
        ms = number(row.get("ms"))
        note = f"{milliseconds(ms)}  {percent(ms, total):>6}"
        bars.append(Bar(printable(row.get("reason"), NAMES), ms or 0, note))
    return [f"{milliseconds(total)} blocked, summed over tasks", *chart(bars, width)]


def execs(section: Mapping[str, Any], width: int) -> list[str]:
    """How many programs were started, the commonest, and how many could not be, by error."""
    bars = []
    for row in objects(section.get("top_commands"))[:TOP]:
        times = number(row.get("count"))
        bars.append(Bar(printable(row.get("command"), NAMES), times or 0, count(times)))
    line = f"{count(section.get('exec_count'))} execs"
    failures = sorted(
        mapping(section.get("failures")).items(), key=lambda item: -(number(item[1]) or 0)
    )
    if failures:
        told = (f"{count(times)} {printable(error, NAMES)}" for error, times in failures[:TOP])
        line += f", and failed ones: {', '.join(told)}"
    return [line, *chart(bars, width)]


def syscalls(section: Mapping[str, Any], width: int) -> list[str]:
    """The contract's five, then the commonest of the others where they are known by name."""
    others = {
        name: calls
        for name, value in mapping(section.get("all")).items()
        if name not in COUNTED_SYSCALLS and (calls := number(value))
    }
    commonest = sorted(others, key=lambda name: -others[name])[:TOP]
    counts = {name: section.get(name) for name in COUNTED_SYSCALLS}
    counts |= {name: others[name] for name in commonest}
    return chart(
        [Bar(printable(name, NAMES), number(n) or 0, count(n)) for name, n in counts.items()], width
    )


def wrapped(items: list[str], width: int, gap: str = "   ") -> list[str]:
    """The items side by side, in as many lines as it takes."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(gap) + len(item) <= width:
            lines[-1] += gap + item
        else:
            lines.append(item)
    return lines


SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any], int], list[str]]]] = {
    "runqlat": ("Run-queue latency: runnable, waiting for a CPU", latency),
    "biolatency": ("Block I/O latency: from issue to completion", latency),
    "offcpu": ("Off-CPU time: blocked, by reason", offcpu),
    "exec": ("Execs: programs started", execs),
    "syscall_counts": ("Syscalls: calls made", syscalls),
}
"""Title and lines of each section, in the contract's order."""
