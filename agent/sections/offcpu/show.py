"""Terminal output for off-CPU time."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.charts import Bar, chart
from agent.terminal.values import (
    FEW,
    LONGEST_NAME,
    TOP,
    count,
    counted,
    mapping,
    milliseconds,
    number,
    percent,
    printable,
)
from agent.terminal.values import rows as objects

TITLE = "Off-CPU time: blocked, by reason"
LABEL = "blocked"
STOPPED_BY = {"by_signal_ms": "by a signal", "traced_ms": "by a tracer", "frozen_ms": "frozen"}


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show blocked time, its reasons with their shares of the total, and what is not in it."""
    total = section.get("total_ms")
    bars = []
    for row in objects(section.get("top_reasons"))[:TOP]:
        ms = number(row.get("ms"))
        note = f"{milliseconds(ms)}  {percent(ms, total):>6}"
        bars.append(Bar(printable(row.get("reason"), LONGEST_NAME), ms or 0, note))
    if other := number(mapping(section.get("other")).get("ms")):
        note = f"{milliseconds(other)}  {percent(other, total):>6}"
        bars.append(Bar("others", other, note))
    line = f"{milliseconds(total)} blocked, summed over tasks"
    if stopped := number(section.get("stopped_ms")):
        line += f"; {milliseconds(stopped)} more stopped, traced or frozen"
    return [
        line,
        *_beside(section),
        *chart(bars, width),
        *_wait_functions(section, width),
    ]


def _beside(section: Mapping[str, Any]) -> list[str]:
    """Return the total by state, what stopped tasks, and what is not in the total at all."""
    by_state = mapping(section.get("by_state"))
    states = ("uninterruptible_ms", "interruptible_ms")
    known = [
        f"{milliseconds(by_state.get(name))} {name.removesuffix('_ms')}"
        for name in states
        if number(by_state.get(name)) is not None
    ]
    lines = [f"of which {', '.join(known)}"] if known else []
    stopped = mapping(section.get("stopped"))
    stopped_by = [
        f"{milliseconds(stopped.get(name))} {words}"
        for name, words in STOPPED_BY.items()
        if number(stopped.get(name))
    ]
    if stopped_by:
        line = f"stopped: {', '.join(stopped_by)}"
        if throughout := number(stopped.get("throughout")):
            line += f"; {count(throughout)} of {count(stopped.get('count'))} through the whole run"
        lines.append(line)
    threads = mapping(section.get("kernel_threads"))
    if number(threads.get("ms")):
        lines.append(f"not included: {milliseconds(threads.get('ms'))} of kernel threads")
    return lines


def _wait_functions(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the kernel functions that tasks waited in, and the waits without a stack."""
    bars = []
    for row in objects(section.get("wait_functions"))[:TOP]:
        ms = number(row.get("ms"))
        note = f"{count(row.get('samples'))} in {milliseconds(ms)}"
        bars.append(Bar(printable(row.get("function"), LONGEST_NAME), ms or 0, note))
    lines = ["waiting in", *chart(bars, width)] if bars else []
    unsampled = mapping(section.get("wait_functions_unsampled"))
    if number(unsampled.get("count")):
        waits, time = counted(unsampled.get("count"), "wait"), milliseconds(unsampled.get("ms"))
        lines.append(f"{waits} without a stack, {time}")
    return lines


def summary(section: Mapping[str, Any]) -> str:
    """Return how long tasks were blocked, for what most of it, and what stopped them."""
    reasons = [
        f"{printable(row.get('reason'), LONGEST_NAME)} {milliseconds(row.get('ms'))}"
        for row in objects(section.get("top_reasons"))[:FEW]
    ]
    line = f"{milliseconds(section.get('total_ms'))}, summed over tasks"
    line += f": {', '.join(reasons)}" if reasons else ""
    functions = [
        f"{printable(row.get('function'), LONGEST_NAME)} {milliseconds(row.get('ms'))}"
        for row in objects(section.get("wait_functions"))[:FEW]
    ]
    return f"{line}; waiting in {', '.join(functions)}" if functions else line
