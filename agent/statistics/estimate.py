"""An estimate with its interval, and how many values an interval takes.

Fewer than six values have no 95 % interval. The widest that order statistics give, from the lowest
to the highest of n values, covers the median with a probability of 1 - 2^(1-n): 0 for one value,
0.94 for five, 0.97 for six. A bootstrap of so few only repeats them. The bounds are infinite then,
so nothing counts as a difference.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
FEWEST = 6
POWER = 0.8
LEVEL = 1 - CONFIDENCE
"""The p value from which on something may be chance."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and the bounds of its 95 % interval; infinite ones if there are too few values."""

    low: float
    middle: float
    high: float

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        return not self.low <= value <= self.high


def without_interval(middle: float) -> Estimate:
    return Estimate(-math.inf, middle, math.inf)


def detectable(estimate: Estimate, level: float = LEVEL) -> float:
    """Return the smallest shift that runs with this spread show in four of five cases.

    ``level`` is the one of the interval: 0.05 for 95 %. It is infinite without an interval. The
    half width of the interval stands for z(0.975) standard errors, whatever the distribution
    (Lehmann 1963); a true shift is found with a power of 0.8 if it is z(0.975) + z(0.8) standard
    errors large.
    """
    normal = NormalDist()
    found = 1 + normal.inv_cdf(POWER) / normal.inv_cdf(1 - level / 2)
    return estimate.half_width * found
