"""How long something lasted by our account, beside a clock that saw it from outside."""

import time
from typing import Any

WITHIN = 0.02
"""Measured for half a second: 0.1 % by our clock; 0.8 % by the scheduler's, which may be one tick
(4 ms) old."""


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def waited_ms(evidence: Any) -> float:
    """What the tasks of a run waited for a CPU."""
    runqlat = evidence["runqlat"]
    return float(runqlat["count"] * (runqlat["mean_us"] or 0) / 1000)


def assert_lasted(
    ours_ms: float, evidence: Any, least_ms: float, most_ms: float | None = None
) -> None:
    """Ours is what a clock saw, or between two values where it could not be read at the very edge.

    Whoever reads that clock once its block is over has waited for a CPU first. That is no part of
    the block, and in the same evidence; a busy machine makes it long.
    """
    shortest = least_ms * (1 - WITHIN) - waited_ms(evidence)
    longest = (least_ms if most_ms is None else most_ms) * (1 + WITHIN)
    assert shortest <= ours_ms <= longest
