"""The latency distributions of a side's runs, at the resolution that its evidence has."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.aggregate.histogram import LatencyHistogram
from agent.report.numbers import amount_of
from agent.report.subject import Observed, Side
from agent.terminal.values import mapping, rows

BOUNDS = frozenset((0.0, *(2.0**power for power in range(40))))
"""Lower bounds of buckets, in µs; what lies under another one is no bucket."""
FEWEST_SAMPLES = 10
"""A run with fewer has no curve."""


@dataclass(frozen=True, slots=True, eq=False)
class Distributions:
    """One section of the runs of a side that have it."""

    side: str
    histograms: Sequence[LatencyHistogram]
    """At full resolution, of each run whose evidence has that."""
    buckets: Mapping[float, float]
    """Mean count per run, by lower bound in µs: a power of two, or 0."""
    runs: int
    """How many runs have the section."""
    missing: str
    """In how many it is missing, and why; "" if in none."""

    @property
    def drawn(self) -> list[LatencyHistogram]:
        """Those with enough samples for a curve."""
        return [one for one in self.histograms if one.total_count >= FEWEST_SAMPLES]

    @property
    def decades(self) -> float:
        """How far a curve reaches, in powers of ten of 1 / (1 - quantile).

        Of fewer than 100 samples, the 99th percentile is only their maximum.
        """
        return math.log10(min(one.total_count for one in self.drawn)) if self.drawn else 0.0


def distributions(side: Side, section: str) -> Distributions:
    own = [run for run in side.counted if run.lacks(section) is None]
    sections = [mapping(run.evidence.get(section)) for run in own]
    decoded = [found for one in sections if (found := _decoded(one.get("hdr")))]
    return Distributions(
        side=side.name,
        histograms=decoded,
        buckets=_mean_buckets(sections),
        runs=len(own),
        missing=side.missing(partial(Observed.lacks, section=section)),
    )


def _decoded(encoded: object) -> LatencyHistogram | None:
    try:
        return LatencyHistogram.decode(encoded) if isinstance(encoded, str) else None
    except ValueError:
        return None


def _mean_buckets(sections: Sequence[Mapping[str, Any]]) -> dict[float, float]:
    sums: dict[float, float] = {}
    for section in sections:
        for bucket in rows(section.get("histogram")):
            low, size = amount_of(bucket.get("bucket_us")), amount_of(bucket.get("count"))
            if low in BOUNDS and size is not None and size >= 1:
                sums[low] = sums.get(low, 0.0) + size
    return {low: sums[low] / len(sections) for low in sorted(sums)}
