"""The page as delimited messages ``io.prometheus.client.MetricFamily``.

Numbers of fields are those of
https://github.com/prometheus/client_model/blob/v0.6.1/io/prometheus/client/metrics.proto.
Only this format has native histograms.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from agent.aggregate.families import Family
from agent.aggregate.native import SCHEMA, ZERO_THRESHOLD_US, NativeCounts
from agent.aggregate.series import LabelSet
from agent.aggregate.totals import LATENCY_BOUNDS_US, LatencyTotals
from agent.http.protobuf import (
    double,
    message,
    packed_signed,
    signed,
    text,
    unsigned,
    varint,
)
from agent.http.run_families import Value, labels_of
from agent.internal_metrics import InternalMetric

Histograms = Literal["classic", "native", "both"]

_TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
_BOUNDS = [double(2, bound) for bound in (*LATENCY_BOUNDS_US, float("inf"))]
_NOTHING = message(12)
"""A span of no buckets. Without one, an empty native histogram would be taken for a classic one."""


class ProtobufFormat:
    """The format, with histograms of one kind or of both."""

    end = b""

    def __init__(self, histograms: Histograms) -> None:
        self._classic = histograms != "native"
        self._native = histograms != "classic"

    def before_runs(self, family: Family, size: int) -> bytes:
        """Return what stands before a family's metrics, all of `samples`, of that many bytes."""
        return _before(family.name, family.type, family.help, size)

    def of_agent(self, metric: InternalMetric, created: float) -> bytes:
        """Return a family of the agent's own, whose counters were 0 when they were ``created``."""
        samples = (
            _metric(labels, _number(metric.type, value, created))
            for labels, value in metric.samples
        )
        metrics = b"".join(samples)
        return _before(metric.name, metric.type, metric.help, len(metrics)) + metrics

    def samples(self, family: Family, labels: LabelSet, value: Value, created: float) -> bytes:
        """Return one label set's metrics of a family."""
        own = labels_of(labels, family.has_scenario)
        if isinstance(value, LatencyTotals):
            return _metric(own, message(7, *self._histogram(value, created)))
        if isinstance(value, int | float):
            return _metric(own, _number(family.type, value, created))
        return b"".join(
            _metric({**own, family.label: name}, _number(family.type, number, created))
            for name, number in value.items()
        )

    def _histogram(self, totals: LatencyTotals, created: float) -> Iterator[bytes]:
        yield unsigned(1, totals.count)
        yield double(2, totals.sum_us)
        if self._classic:
            for bound, count in zip(_BOUNDS, accumulate(totals.bucket_counts), strict=True):
                yield message(3, unsigned(1, count), bound)
        if self._native:
            yield from _native(totals.native)
        yield message(15, _timestamp(created))


def _native(counts: NativeCounts) -> Iterator[bytes]:
    """Yield the fields of a native histogram: spans of buckets, and by how much counts differ."""
    yield signed(5, SCHEMA)
    yield double(6, ZERO_THRESHOLD_US)
    yield unsigned(7, counts.zeros)
    spans = counts.spans()
    if not spans:
        yield _NOTHING
        return
    reached = 0
    for first, span in spans:
        yield message(12, signed(1, first - reached), unsigned(2, len(span)))
        reached = first + len(span)
    in_order = [0, *(count for _, span in spans for count in span.tolist())]
    yield packed_signed(13, (after - before for before, after in pairwise(in_order)))


def _number(kind: str, value: float, created: float) -> bytes:
    if kind == "counter":
        return message(3, double(1, value), message(3, _timestamp(created)))
    return message(2, double(1, value))


def _timestamp(seconds: float) -> bytes:
    """Return the contents of a ``google.protobuf.Timestamp``, to the millisecond."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return unsigned(1, whole) + unsigned(2, milliseconds * 1_000_000)


def _metric(labels: Mapping[str, str], value: bytes) -> bytes:
    return message(4, *(_pair(name, inside) for name, inside in labels.items()), value)


@lru_cache(maxsize=128)
def _pair(name: str, value: str) -> bytes:
    """Return a label. Those of a label set are in all of its metrics, one after another."""
    return message(1, text(1, name), text(2, value))


def _before(name: str, kind: str, about: str, size: int) -> bytes:
    """Return a family up to its metrics, of that many bytes, with the length of both in front.

    Nothing if it has no metric, since some readers refuse such a family.
    """
    if not size:
        return b""
    own = text(1, name) + text(2, about) + unsigned(3, _TYPES[kind])
    return varint(len(own) + size) + own
