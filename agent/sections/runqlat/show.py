"""Terminal output for run-queue latency."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.latency import latency
from agent.terminal.values import LONGEST_NAME, count, mapping, milliseconds, number, printable

TITLE = "Run-queue latency: runnable, waiting for a CPU"


def lines(section: Mapping[str, Any], width: int) -> list[str]:
    """Show the distribution, and the waits that had not ended at the stop."""
    return [*latency(section, width), *_still_waiting(mapping(section.get("waiting_at_stop")))]


def _still_waiting(waits: Mapping[str, Any]) -> list[str]:
    if not number(waits.get("count")):
        return []
    longest = mapping(waits.get("longest"))
    line = f"{count(waits.get('count'))} still waiting at the stop, the longest "
    line += f"{printable(longest.get('command'), LONGEST_NAME)}, {milliseconds(longest.get('ms'))}"
    if longest.get("began_before_run"):
        line += " and before the run"
    return [line]
