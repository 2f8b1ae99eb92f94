"""In which order the runs of two sides were made, and what a drift has to do with their difference.

Runs that were made in turn share what changes with time. If there are two blocks, one after the
other, their difference contains any such change, which can be told apart only as far as it shows
within a block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.comparison.observation import Observation, in_time
from agent.statistics.drift import drift_within
from agent.statistics.estimate import Estimate
from agent.words import Json

INTERLEAVED, SEQUENTIAL, MIXED, UNKNOWN = "interleaved", "sequential", "mixed", "unknown"
IN_BLOCKS = {
    SEQUENTIAL: "nothing but what is compared changed between the two blocks of runs",
    MIXED: "nothing but what is compared changed from block to block of the runs",
    UNKNOWN: "nothing but what is compared changed while the runs were made",
}
"""On what a difference of two groups depends, by the order of their runs. What changes meanwhile is
in it, and shows only as far as it is a trend within the blocks."""
OFTEN = 1 / 3
"""The share of neighbours in time that are of different sides, from which on the sides alternate.
At random it is a half."""


def order_of(before: Sequence[Observation], after: Sequence[Observation]) -> str:
    """Return how the runs of the two sides lie in time."""
    ordered = in_time([*before, *after])
    if not ordered:
        return UNKNOWN
    first = {id(run) for run in before}
    sides = [id(run) in first for run in ordered]
    changes = sum(one != other for one, other in pairwise(sides))
    if changes <= 1:
        return SEQUENTIAL
    return INTERLEAVED if changes >= OFTEN * (len(sides) - 1) else MIXED


@dataclass(frozen=True, slots=True)
class Drift:
    """By how much runs take longer than those just before, in logarithms, whatever their side."""

    slope: Estimate
    is_certain: bool
    """The interval excludes 0, and over all runs it is more than the smallest that matters."""
    distance: float
    """By how many runs the second side is later on average."""

    @property
    def reach(self) -> tuple[float, float]:
        """What it may have added to the difference of two groups, from least to most."""
        low, high = sorted((self.slope.low * self.distance, self.slope.high * self.distance))
        return low, high

    def explains(self, difference: Estimate) -> bool:
        """Return whether what it may have added could be what makes a difference (in parts)."""
        if not self.is_certain or not difference.has_interval:
            return False
        low, high = self.reach
        return (
            math.log1p(difference.low) - max(high, 0)
            <= 0
            <= math.log1p(difference.high) - min(low, 0)
        )

    def described(self) -> Json:
        slope, has_interval = self.slope, self.slope.has_interval
        return {
            "pct_per_run": {
                "low": _percent(slope.low) if has_interval else None,
                "middle": _percent(slope.middle),
                "high": _percent(slope.high) if has_interval else None,
            },
            "is_certain": self.is_certain,
            "in_difference_pct": {
                "low": _percent(self.reach[0]) if has_interval else None,
                "high": _percent(self.reach[1]) if has_interval else None,
            },
        }


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(logarithm)


def drift_of(
    before: Sequence[Observation], after: Sequence[Observation], min_effect: float
) -> Drift | None:
    """Return the drift over all runs, found within each side; None where that is not known."""
    ordered = in_time([*before, *after])
    if not ordered or max(len(before), len(after)) < 2:
        return None
    place = {id(run): float(index) for index, run in enumerate(ordered)}
    groups = [
        sorted((place[id(run)], math.log(run.wall_ms)) for run in side) for side in (before, after)
    ]
    slope = drift_within(groups)
    middles = [sum(when for when, _ in group) / len(group) for group in groups]
    return Drift(
        slope=slope,
        is_certain=slope.has_interval
        and slope.excludes(0)
        and abs(slope.middle) * (len(ordered) - 1) > math.log1p(min_effect),
        distance=middles[1] - middles[0],
    )
