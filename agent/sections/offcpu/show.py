"""Terminal output for off-CPU time."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import LONGEST_NAME, TOP, milliseconds, number, percent, printable
from agent.terminal.values import rows as objects

TITLE = "Off-CPU time: blocked, by reason"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show blocked time and its reasons, each with its share of the total."""
    total = section.get("total_ms")
    bars = []
    for row in objects(section.get("top_reasons"))[:TOP]:
        ms = number(row.get("ms"))
        note = f"{milliseconds(ms)}  {percent(ms, total):>6}"
        bars.append(Bar(printable(row.get("reason"), LONGEST_NAME), ms or 0, note))
    line = f"{milliseconds(total)} blocked, summed over tasks"
    if stopped := number(section.get("stopped_ms")):
        line += f"; besides, {milliseconds(stopped)} stopped, traced or frozen"
    return [line, *chart(bars, width)]
