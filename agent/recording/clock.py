"""The clock of runs."""

import time


def elapsing_ns() -> int:
    """Return the time by a clock that is never set, and advances while the machine is suspended."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
