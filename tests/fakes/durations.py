"""Comparison of a duration that we measured with one taken from an independent clock."""

import time
from typing import Any

from fakes.checks import stolen_ms

WITHIN = 0.02
"""Relative tolerance. Over half a second we measured a deviation of 0.1 % with our clock, and of
0.8 % with the scheduler's, which may be one tick (4 ms) old."""


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def waited_ms(evidence: Any) -> float:
    """Return the total time that a run's tasks waited for a CPU."""
    runqlat = evidence["runqlat"]
    return float(runqlat["count"] * (runqlat["mean_us"] or 0) / 1000)


def stolen_from_turns_ms(evidence: Any) -> float:
    """Return at most how much too short the turns of a run are.

    With timing by accounting they are the scheduler's, which leaves out what a hypervisor took; the
    block or stop that follows a turn is longer by that.
    """
    if evidence["manifest"]["timing"] != "accounting":
        return 0.0
    return stolen_ms(evidence)


def assert_lasted(
    ours_ms: float, evidence: Any, least_ms: float, most_ms: float | None = None
) -> None:
    """Assert that our duration equals the clock's, or lies between two readings of it.

    There are two readings where the clock could not be read exactly at the start and the end.

    A task that reads the clock after it was blocked has waited for a CPU first. This wait does not
    belong to the block, and the same evidence contains it; on a busy machine it is long. A
    hypervisor may take the CPU away before the clock is read, too.
    """
    shortest = least_ms * (1 - WITHIN) - waited_ms(evidence) - stolen_ms(evidence)
    longest = (least_ms if most_ms is None else most_ms) * (1 + WITHIN)
    longest += stolen_from_turns_ms(evidence)
    assert shortest <= ours_ms <= longest
