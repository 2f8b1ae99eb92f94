"""Terminal output for execs."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import LONGEST_NAME, TOP, count, mapping, number, printable
from agent.terminal.values import rows as objects

TITLE = "Execs: programs started"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show how many programs were started, the most frequent ones, and failures by error."""
    bars = []
    for row in objects(section.get("top_commands"))[:TOP]:
        times = number(row.get("count"))
        bars.append(Bar(printable(row.get("command"), LONGEST_NAME), times or 0, count(times)))
    line = f"{count(section.get('exec_count'))} execs"
    failures = sorted(
        mapping(section.get("failures")).items(), key=lambda item: -(number(item[1]) or 0)
    )
    if failures:
        listed = (f"{count(n)} {printable(error, LONGEST_NAME)}" for error, n in failures[:TOP])
        line += f"; failed: {', '.join(listed)}"
    return [line, *chart(bars, width)]
