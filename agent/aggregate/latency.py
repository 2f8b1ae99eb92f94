"""The fields of a latency distribution, as evidence has them."""

from typing import Any

from agent.aggregate.histogram import LatencyHistogram


def latency(histogram: LatencyHistogram) -> dict[str, Any]:
    """Return the fields of a latency distribution; times in µs, None where nothing was measured."""
    return {
        "histogram": histogram.power_of_two_buckets(),
        **histogram.summary(),
        "overflow": histogram.overflow,
        "hdr": histogram.encode(),
    }
