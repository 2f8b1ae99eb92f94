"""How values change with time: the slope over the order in which runs were made."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence

from agent.statistics.estimate import CONFIDENCE, FEWEST, Estimate, without_interval

Moment = tuple[float, float]
"""When, and which value."""


def drift(values: Sequence[float]) -> Estimate:
    """Return the change from each value to the next: the median of the slopes of all pairs.

    The interval rests on Kendall's tau (Theil 1950, Sen 1968). Raises ValueError for fewer than two
    values.
    """
    return drift_within([list(enumerate(values))])


def drift_within(groups: Sequence[Sequence[Moment]]) -> Estimate:
    """Return the slope that groups have in common, whatever lies between their levels.

    It is the median of the slopes of all pairs within each group; the interval rests on the sum of
    the groups' Kendall scores, the variances of which add up (Hirsch, Slack, Smith 1982, with
    groups for their seasons). No two moments of a group may be the same. Raises ValueError if no
    group has two values.
    """
    slopes = sorted(
        (after - before) / (later - earlier)
        for group in groups
        for (earlier, before), (later, after) in itertools.combinations(group, 2)
    )
    if not slopes:
        raise ValueError("one value has no slope")
    middle = statistics.median(slopes)
    if max(map(len, groups)) < FEWEST:
        return without_interval(middle)
    variance = sum(_variance_of_tau([value for _, value in group]) for group in groups)
    reach = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(variance)
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Estimate(slopes[low], middle, slopes[high])


def _variance_of_tau(values: Sequence[float]) -> float:
    """Return the variance of Kendall's S, less for values that are alike."""
    alike = Counter(values).values()
    return (_squares(len(values)) - sum(map(_squares, alike))) / 18


def _squares(size: int) -> int:
    return size * (size - 1) * (2 * size + 5)
