"""Pages in Protocol Buffers, read by Google's library: none of the agent's own code takes part.

The messages are declared here from the published
https://github.com/prometheus/client_model/blob/v0.6.1/io/prometheus/client/metrics.proto, without
what only exemplars and floating-point histograms need.
"""

import functools
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest

PACKAGE = "io.prometheus.client"
MESSAGES = {
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Gauge": {"value": (1, "double")},
    "Counter": {"value": (1, "double"), "created_timestamp": (3, "Timestamp")},
    "Bucket": {"cumulative_count": (1, "uint64"), "upper_bound": (2, "double")},
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "sample_count": (1, "uint64"),
        "sample_sum": (2, "double"),
        "bucket": (3, "repeated Bucket"),
        "schema": (5, "sint32"),
        "zero_threshold": (6, "double"),
        "zero_count": (7, "uint64"),
        "positive_span": (12, "repeated BucketSpan"),
        "positive_delta": (13, "repeated sint64"),
        "created_timestamp": (15, "Timestamp"),
    },
    "Metric": {
        "label": (1, "repeated LabelPair"),
        "gauge": (2, "Gauge"),
        "counter": (3, "Counter"),
        "histogram": (7, "Histogram"),
    },
    "MetricFamily": {
        "name": (1, "string"),
        "help": (2, "string"),
        "type": (3, "int32"),  # an enumeration, which is written like this
        "metric": (4, "repeated Metric"),
    },
}
TYPES = {0: "counter", 1: "gauge", 4: "histogram"}


def families(page: bytes) -> dict[str, Any]:
    """Return the families of a page by name; fail for a field that is not declared above."""
    family_type = _message_type("MetricFamily")
    found: dict[str, Any] = {}
    for encoded in _delimited(page):
        family = family_type()
        family.ParseFromString(encoded)
        _check_known(family)
        assert family.name not in found, f"{family.name} twice"
        found[family.name] = family
    return found


def labels(metric: Any) -> dict[str, str]:
    return {pair.name: pair.value for pair in metric.label}


def buckets(histogram: Any) -> dict[int, int]:
    """Return the counts of a native histogram by the index of the bucket, without empty ones."""
    indices: list[int] = []
    for span in histogram.positive_span:
        start = span.offset + (indices[-1] + 1 if indices else 0)
        indices += range(start, start + span.length)
    counts = accumulate(histogram.positive_delta)
    return {index: count for index, count in zip(indices, counts, strict=True) if count}


def _delimited(page: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(page):
        size = shift = 0
        while True:
            byte = page[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        assert position + size <= len(page), "cut short"
        yield page[position : position + size]
        position += size


def _check_known(message: Any) -> None:
    from google.protobuf.unknown_fields import UnknownFieldSet

    assert not len(UnknownFieldSet(message)), f"unknown fields in {type(message).__name__}"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                _check_known(one)


@functools.cache
def _message_type(name: str) -> Any:
    reason = "the package protobuf is not installed"
    pool = pytest.importorskip("google.protobuf.descriptor_pool", reason=reason)
    from google.protobuf import descriptor_pb2, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package=PACKAGE, syntax="proto2")
    for message, fields in MESSAGES.items():
        declared = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            *repeated, of = kind.split()
            one = declared.field.add(name=field, number=number)
            one.label = one.LABEL_REPEATED if repeated else one.LABEL_OPTIONAL
            if of in MESSAGES:
                one.type, one.type_name = one.TYPE_MESSAGE, f".{PACKAGE}.{of}"
            else:
                one.type = getattr(one, f"TYPE_{of.upper()}")
    own_pool = pool.DescriptorPool()
    own_pool.Add(file)
    found = own_pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)
