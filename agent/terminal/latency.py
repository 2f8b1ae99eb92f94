"""A latency section of evidence as lines of text."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import histogram, wrapped
from agent.terminal.values import LONGEST_NAME, count, counted, duration, number, printable
from agent.terminal.values import rows as objects

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


def latency(section: Mapping[str, Any], width: int) -> list[str]:
    """Return the percentiles and chart of a latency section, and a line per nested distribution."""
    lines = [f"{counted(section.get('count'), 'sample')}, {count(section.get('lost'))} lost"]
    if number(section.get("overflow")):
        lines[0] += f", {count(section.get('overflow'))} above 100 s in no other figure"
    lines += wrapped([f"{name} {duration(section.get(key))}" for name, key in QUANTILES], width)
    lines += histogram(objects(section.get("histogram")), width)
    for name, nested in section.items():
        if isinstance(nested, dict) and "histogram" in nested:
            lines += nested_summary(name, nested)
    return lines


def nested_summary(name: str, nested: Mapping[str, Any]) -> list[str]:
    """Return a line for a second distribution of the same events, such as latency with queueing."""
    shown = ("p50_us", "p95_us", "p99_us", "max_us")
    values = [f"{label} {duration(nested.get(key))}" for label, key in QUANTILES if key in shown]
    return [f"{printable(name, LONGEST_NAME)}: " + "   ".join(values)]


def quantiles(section: Mapping[str, Any]) -> str:
    """Return the percentiles that a line has room for."""
    shown = ("p50_us", "p99_us", "max_us")
    return ", ".join(
        f"{name} {duration(section.get(key))}" for name, key in QUANTILES if key in shown
    )
