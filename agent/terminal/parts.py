"""The parts of the wall time, as a comparison names them, and the states that they belong to."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.values import number

BLOCKED, WAITING_FOR_CPU = "blocked", "waiting_for_cpu"
BLOCKED_UNTIL = "blocked: "
"""Before the reason that ended it."""
BLOCKED_OTHER = "blocked_other"
"""Blocked at the end of the run, or for reasons that have no row."""
FOR_BUSY_CPU, FOR_IDLE_CPU = "for a busy CPU", "for an idle CPU"
WITHIN = {
    BLOCKED_OTHER: BLOCKED,
    FOR_BUSY_CPU: WAITING_FOR_CPU,
    FOR_IDLE_CPU: WAITING_FOR_CPU,
}
"""The states of parts that are less than one, besides what is `BLOCKED_UNTIL` something."""


def state_of(part: str) -> str:
    """Return the state of the wall time that a part belongs to, or is."""
    return BLOCKED if part.startswith(BLOCKED_UNTIL) else WITHIN.get(part, part)


def excludes_0(interval: Mapping[str, Any]) -> bool:
    """Return whether a difference has a direction by its own interval."""
    low, high = number(interval.get("low")), number(interval.get("high"))
    return low is not None and high is not None and (low > 0 or high < 0)
