"""Terminal output for run-queue latency."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import grid
from agent.terminal.latency import latency, quantiles
from agent.terminal.values import (
    LONGEST_NAME,
    count,
    counted,
    duration,
    mapping,
    milliseconds,
    number,
    printable,
)
from agent.terminal.values import rows as objects

TITLE = "Run-queue latency: runnable, waiting for a CPU"
LABEL = "waiting"
TOP_COMMANDS = 5


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the distribution, who waited longest, and the waits that had not ended at the stop."""
    return [
        *latency(section, width),
        *_preempted(section.get("preempted_ms")),
        *_by_command(mapping(section.get("by_command")), width),
        *_still_waiting(mapping(section.get("waiting_at_stop"))),
    ]


def _preempted(ms: object) -> list[str]:
    return [f"{milliseconds(ms)} of the waiting followed a preemption"] if number(ms) else []


def _by_command(waits: Mapping[str, Any], width: int) -> list[str]:
    """Return the commands that waited longest; all others, also those that evidence lists, in one
    row."""
    listed = objects(waits.get("top"))
    if not listed:
        return []
    rest = [*listed[TOP_COMMANDS:], mapping(waits.get("other"))]
    others = {
        name: sum(number(row.get(name)) or 0 for row in rest) for name in ("count", "total_us")
    }
    rows = [
        (
            printable(row.get("command"), LONGEST_NAME),
            count(row.get("count")),
            duration(row.get("total_us")),
            duration(row.get("mean_us")),
        )
        for row in listed[:TOP_COMMANDS]
    ]
    if others["count"] or others["total_us"]:
        rows.append(("others", count(others["count"]), duration(others["total_us"]), ""))
    return grid([("command", "waits", "total", "mean"), *rows], width)


def _still_waiting(waits: Mapping[str, Any]) -> list[str]:
    if not number(waits.get("count")):
        return []
    longest = mapping(waits.get("longest"))
    line = f"{count(waits.get('count'))} still waiting at the stop, the longest "
    line += f"{printable(longest.get('command'), LONGEST_NAME)}, {milliseconds(longest.get('ms'))}"
    if longest.get("began_before_run"):
        line += " and before the run"
    return [line]


def summary(section: Mapping[str, Any]) -> str:
    """Return how often and how long tasks waited for a CPU."""
    waits, mean = number(section.get("count")), number(section.get("mean_us"))
    if not waits:
        return "no wait for a CPU"
    total = "" if mean is None else f", {duration(waits * mean)} total"
    preempted = section.get("preempted_ms")
    after = f", of which {milliseconds(preempted)} after a preemption" if number(preempted) else ""
    return f"{counted(waits, 'wait')} for a CPU{total}{after}; {quantiles(section)}"
