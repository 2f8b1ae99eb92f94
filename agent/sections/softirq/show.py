"""Terminal output for softirqs."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import LONGEST_NAME, TOP, count, milliseconds, number, printable
from agent.terminal.values import rows as objects

TITLE = "Softirqs: time by vector, on all CPUs"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show how many ran, for how long, how much of it on top of tasks in scope; then by vector."""
    bars = []
    for row in objects(section.get("by_vector"))[:TOP]:
        ms = number(row.get("total_ms"))
        note = f"{count(row.get('count'))} in {milliseconds(ms)}"
        bars.append(Bar(printable(row.get("vector"), LONGEST_NAME), ms or 0, note))
    total = f"{count(section.get('count'))} softirqs in {milliseconds(section.get('total_ms'))}"
    in_scope = milliseconds(section.get("in_scope_ms"))
    return [f"{total}, {in_scope} of it on top of tasks in scope", *chart(bars, width)]
