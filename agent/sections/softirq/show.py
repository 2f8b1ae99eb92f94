"""Terminal output for softirqs."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import (
    FEW,
    LONGEST_NAME,
    TOP,
    count,
    counted,
    duration,
    milliseconds,
    number,
    printable,
)
from agent.terminal.values import rows as objects

TITLE = "Softirqs: time by vector, on all CPUs"
LABEL = "softirqs"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show how many ran, for how long, how much while a task in scope was current; by vector."""
    bars = []
    for row in objects(section.get("by_vector"))[:TOP]:
        ms = number(row.get("total_ms"))
        p99 = duration(row.get("p99_us"))
        note = f"{count(row.get('count'))} in {milliseconds(ms)}, p99 {p99:>7}"
        bars.append(Bar(printable(row.get("vector"), LONGEST_NAME), ms or 0, note))
    total = f"{counted(section.get('count'), 'softirq')} in {milliseconds(section.get('total_ms'))}"
    in_scope = milliseconds(section.get("in_scope_ms"))
    line = f"{total}, of which {in_scope} while a task in scope was current"
    if number(section.get("unseen")):
        line += f"; {count(section.get('unseen'))} more not seen"
    return [line, *chart(bars, width)]


def summary(section: Mapping[str, Any]) -> str:
    """Return how many ran and for how long, and the vectors that took most of it."""
    vectors = [
        f"{printable(row.get('vector'), LONGEST_NAME)} {milliseconds(row.get('total_ms'))}"
        for row in objects(section.get("by_vector"))[:FEW]
    ]
    ran = f"{count(section.get('count'))} in {milliseconds(section.get('total_ms'))}"
    in_scope = number(section.get("in_scope_ms"))
    of_which = "" if in_scope is None else f" ({milliseconds(in_scope)} on top of tasks in scope)"
    line = f"on the whole machine {ran}{of_which}"
    return f"{line}: {', '.join(vectors)}" if vectors else line
