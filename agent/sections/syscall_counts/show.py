"""Terminal output for syscalls."""

from collections.abc import Mapping
from typing import Any

from agent.sections.syscall_counts.layout import COUNTED
from agent.terminal.charts import Bar, chart
from agent.terminal.values import LONGEST_NAME, TOP, count, mapping, number, printable

TITLE = "Syscalls: calls made"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the contract's five, then the most frequent others if they are known by name."""
    others = {
        name: calls
        for name, value in mapping(section.get("all")).items()
        if name not in COUNTED and (calls := number(value))
    }
    most_frequent = sorted(others, key=lambda name: -others[name])[:TOP]
    counts = {name: section.get(name) for name in COUNTED}
    counts |= {name: others[name] for name in most_frequent}
    return chart(
        [Bar(printable(n, LONGEST_NAME), number(c) or 0, count(c)) for n, c in counts.items()],
        width,
    )
