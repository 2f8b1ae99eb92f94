"""Terminal output for syscalls."""

from collections.abc import Mapping
from typing import Any

from agent.sections.syscall_counts.layout import COUNTED
from agent.terminal.charts import Bar, chart, grid
from agent.terminal.values import (
    FEW,
    LONGEST_NAME,
    TOP,
    count,
    counted,
    mapping,
    milliseconds,
    number,
    printable,
)

TITLE = "Syscalls: calls made"
LABEL = "syscalls"
DETAILS_TITLE = "Syscalls: from entry to return"
RARE = {"refused": "refused", "in_flight": "in flight"}
"""Columns of the details that are left out where every row has 0."""


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
    if rest := others.keys() - counts.keys():
        counts[counted(len(rest), "other")] = sum(others[name] for name in rest)
    return chart(
        [Bar(printable(n, LONGEST_NAME), number(c) or 0, count(c)) for n, c in counts.items()],
        width,
    )


def details(by_name: Mapping[str, Any], width: int) -> list[str]:
    """Show the calls that took longest in total, with their time, errors and interruptions."""
    rows = {name: mapping(row) for name, row in by_name.items()}
    ordered = sorted(rows, key=lambda name: -(number(rows[name].get("total_ms")) or 0))
    rare = [name for name in RARE if any(number(row.get(name)) for row in rows.values())]
    headers = ("syscall", "calls", "total", "errors", "interrupted", *(RARE[n] for n in rare))
    shown = [
        (
            printable(name, LONGEST_NAME),
            count(row.get("count")),
            milliseconds(row.get("total_ms")),
            *(count(row.get(field)) for field in ("errors", "interrupted", *rare)),
        )
        for name in ordered[:TOP]
        for row in [rows[name]]
    ]
    lines = grid([headers, *shown], width)
    if len(ordered) > TOP:
        lines.append(f"and {counted(len(ordered) - TOP, 'other syscall')}")
    return lines


def summary(section: Mapping[str, Any]) -> str:
    """Return how many calls were made, and the most frequent ones by name."""
    known = {**{name: section.get(name) for name in COUNTED}, **mapping(section.get("all"))}
    calls = {name: n for name, value in known.items() if (n := number(value))}
    if not calls:
        return "none"
    top = sorted(calls, key=lambda name: -calls[name])[:FEW]
    listed = ", ".join(f"{printable(name, LONGEST_NAME)} {count(calls[name])}" for name in top)
    # without the others, the sum of the contract's five would pass for that of all calls
    total = f"{count(sum(calls.values()))}: " if mapping(section.get("all")) else ""
    return total + listed
