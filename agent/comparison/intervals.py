"""Estimates as they are saved: JSON has no infinite numbers."""

import math

from agent.statistics.estimate import Estimate
from agent.words import Json


def interval(estimate: Estimate, factor: float = 1) -> Json:
    """Return an estimate; the bounds are null where it has no interval."""
    return {
        "low": finite(factor * estimate.low),
        "middle": factor * estimate.middle,
        "high": finite(factor * estimate.high),
    }


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
