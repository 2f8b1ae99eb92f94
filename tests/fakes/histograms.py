"""Histograms of given values, and everything that two of them must agree on."""

from collections.abc import Iterable

import numpy as np

from agent.aggregate.histogram import LatencyHistogram


def histogram_of(values: Iterable[int]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.fold(np.array([*values], np.uint64))
    return histogram


def content(histogram: LatencyHistogram) -> tuple[object, ...]:
    return (
        histogram.counts.tolist(),
        histogram.total_count,
        histogram.sum_ns,
        histogram.min_ns,
        histogram.max_ns,
        histogram.overflow,
    )
