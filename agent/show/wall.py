"""Where the wall time went: bars that add up to all of it."""

from collections.abc import Mapping
from typing import Any

from agent.show.layout import named
from agent.terminal.charts import Bar, chart, wrapped
from agent.terminal.values import (
    FEW,
    LONGEST_NAME,
    mapping,
    milliseconds,
    number,
    percent,
    printable,
    rows,
    significant,
)

TITLE = "Wall time: where it went"
WORDS = {
    "computing": "computing",
    "waiting_for_cpu": "waiting for a CPU",
    "blocked": "blocked",
    "stopped": "stopped",
    "no_task": "no task",
    "unknown": "unknown",
}
"""The states, in their order."""
EDGES = {
    ("exec", "exit"): "from the exec of the command to its end",
    ("exec", "stop"): "from the exec of the command to the stop of the run",
    ("start", "stop"): "from the start of the run to its stop",
}
LEAST_SHARE = 0.0005
"""Smaller parts are not worth a word; the states are all shown if they are not 0."""


def wall(evidence: Mapping[str, Any], columns: int) -> list[str]:
    """Return a line, a bar for each state that there was, and what these consist of.

    Nothing for evidence of earlier agents; the reason where it was not measured.
    """
    found = mapping(evidence.get("wall"))
    if not found:
        return []
    if found.get("available") is not True:
        return wrapped(
            f"not measured: {printable(found.get('reason'), 1000)}".split(" "), columns, " "
        )
    total = number(found.get("wall_ms"))
    edges = EDGES.get((str(found.get("began")), str(found.get("ended"))), "")
    lines = wrapped(f"{milliseconds(total)} {edges}".split(" "), columns, " ")
    lines += chart(_bars(found, total), columns)
    lines += wrapped(_parts(found, total), columns, "; ")
    if ends := _ends(found, total):
        lines += named("blocked until", ends, columns)
    return lines


def _bars(found: Mapping[str, Any], total: float | None) -> list[Bar]:
    states = mapping(found.get("states"))
    bars = []
    for name, words in WORDS.items():
        ms = number(mapping(states.get(name)).get("ms"))
        if ms:
            bars.append(Bar(words, ms, f"{milliseconds(ms)}  {percent(ms, total):>6}"))
    return bars


def _ends(found: Mapping[str, Any], total: float | None) -> list[str]:
    """Return the calls that tasks were woken from when nothing else went on, and their commands."""
    ends = []
    for row in rows(found.get("blocked_until"))[:FEW]:
        if ms := number(row.get("ms")):
            command, reason = (printable(row.get(n), LONGEST_NAME) for n in ("command", "reason"))
            ends.append(f"{command} in {reason} {milliseconds(ms)} ({percent(ms, total)})")
    return ends


def _parts(found: Mapping[str, Any], total: float | None) -> list[str]:
    """Return how many computed at once, and for which kind of CPU was waited."""
    parts = []
    at_once = number(found.get("at_once"))
    if at_once is not None:
        parts.append(f"while computing, {significant(at_once)} at once")
    for name, words in (
        ("for_busy_cpu_ms", "for a CPU that another task had"),
        ("for_idle_cpu_ms", "for an idle CPU to wake up"),
    ):
        ms = number(found.get(name))
        if ms and total and ms / total >= LEAST_SHARE:
            parts.append(f"waiting {milliseconds(ms)} {words}")
    return parts
