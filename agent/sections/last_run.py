"""What ``/metrics`` shows of the last run alone: gauges, for runs too short for ``rate()``.

``rate()`` and ``increase()`` see only what changes between two scrapes. A run that lies between
them, with labels of its own, is a series that is first seen with its final value.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from agent.aggregate.families import Family
from agent.aggregate.histogram import LatencyHistogram

LastRunFigures: TypeAlias = Mapping[str, Mapping[str, float] | float]
"""By metric family, then by the value of its own label if it has one."""

PERCENTILES = {"50": 0.5, "90": 0.9, "95": 0.95, "99": 0.99, "99.9": 0.999}
"""Not a label ``quantile``, which is for summaries: ``promtool check metrics`` complains."""


def of_latencies(histogram: LatencyHistogram, percentiles: Family, count: Family) -> LastRunFigures:
    """Return the percentiles, and of how many latencies they are: those of few are noise."""
    return {percentiles.name: percentiles_s(histogram), count.name: histogram.total_count}


def percentiles_s(histogram: LatencyHistogram) -> dict[str, float]:
    """Return percentiles in seconds, by the values of the label; empty if nothing was counted."""
    found = histogram.percentiles_ns(tuple(PERCENTILES.values()))
    return {name: ns / 1e9 for name, ns in zip(PERCENTILES, found, strict=True) if ns is not None}


def nothing(fold: Any) -> LastRunFigures:
    """Return no figures: those of a section without any."""
    return {}
