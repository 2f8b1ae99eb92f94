"""The page in Protocol Buffers: the same numbers as in text, and native histograms."""

import math
from itertools import chain
from typing import Any

import numpy as np
import pytest
import requests
from fakes.http_server import RunningServer, running_server
from fakes.metric_messages import TYPES, buckets, families, labels
from fakes.shown_metrics import (
    BASELINE,
    CREATED,
    DELIMITED,
    INTERNAL,
    LAST,
    STARTED,
    a_store,
)
from fakes.totals import run_totals
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import LabelSet, SeriesStore
from agent.aggregate.totals import LATENCY_BOUNDS_US, LatencyTotals
from agent.http.exposition import Exposition
from agent.http.negotiation import PageFormat
from agent.http.protobuf_format import Histograms

NAME = "chainbench_runqlat_microseconds"
LATENCIES = st.lists(st.integers(0, 10**11), max_size=60)


def totals(*latencies_ns: int) -> LatencyTotals:
    histogram = LatencyHistogram()
    histogram.fold(np.array(latencies_ns, np.uint64))
    return histogram.totals()


def page(store: SeriesStore, histograms: Histograms = "both") -> dict[str, Any]:
    exposition = Exposition(store, STARTED)
    return families(exposition.render(INTERNAL, PageFormat.PROTOBUF, histograms))


def one_histogram(distribution: LatencyTotals, histograms: Histograms = "both") -> Any:
    store = SeriesStore(now=lambda: CREATED)
    store.commit(BASELINE, run_totals(distribution), "success")
    (metric,) = page(store, histograms)[NAME].metric
    return metric.histogram


def bucket_of(ns: int) -> int:
    """Return the bucket of schema 5 that holds a latency, as Prometheus defines it."""
    return math.ceil(math.log2(ns / 1000) * 32)


def test_it_has_the_samples_of_the_page_in_openmetrics() -> None:
    store = a_store()
    store.commit(BASELINE, run_totals(totals(1500, 2500)), "success", LAST)
    found = page(store, "classic")
    text = Exposition(store, STARTED).render(INTERNAL, PageFormat.OPENMETRICS).decode()
    in_text, in_protobuf = {}, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            in_text[sample.name, frozenset(sample.labels.items())] = sample.value
    for name, family in found.items():
        for metric in family.metric:
            own = frozenset(labels(metric).items())
            for suffix, more, value in samples(TYPES[family.type], metric):
                base = name.removesuffix("_total") if suffix == "_created" else name
                in_protobuf[base + suffix, own | more] = value
    assert in_protobuf == in_text


def samples(kind: str, metric: Any) -> list[tuple[str, frozenset[tuple[str, str]], float]]:
    none: frozenset[tuple[str, str]] = frozenset()
    value = getattr(metric, kind)
    if kind == "gauge":
        return [("", none, value.value)]
    created = value.created_timestamp.seconds + value.created_timestamp.nanos / 1e9
    if kind == "counter":
        return [("", none, value.value), ("_created", none, created)]
    found = [
        ("_count", none, value.sample_count),
        ("_sum", none, value.sample_sum),
        ("_created", none, created),
    ]
    for bucket in value.bucket:
        bound = "+Inf" if math.isinf(bucket.upper_bound) else str(bucket.upper_bound)
        found.append(("_bucket", frozenset({("le", bound)}), bucket.cumulative_count))
    return found


@given(LATENCIES)
def test_every_latency_is_in_its_bucket_or_closer_to_it_than_its_slot(found: list[int]) -> None:
    histogram = one_histogram(totals(*found))
    assert (histogram.schema, histogram.sample_count) == (5, len(found))
    assert histogram.sample_sum == pytest.approx(sum(found) / 1000)
    assert histogram.zero_count == found.count(0)
    counts = buckets(histogram)
    placed = [index for index, count in sorted(counts.items()) for _ in range(count)]
    for index, ns in zip(placed, sorted(ns for ns in found if ns), strict=True):
        assert bucket_of(math.floor(ns * 0.9995) or 1) <= index <= bucket_of(math.ceil(ns * 1.0005))


@given(LATENCIES)
def test_the_middle_of_a_slot_is_in_its_very_bucket(found: list[int]) -> None:
    """HdrHistogram's slots: 2,048 of 1 ns, then 1,024 for each power of two."""
    expected: dict[int, int] = {}
    for ns in filter(None, found):
        width = 1 << max(0, ns.bit_length() - 11)
        index = bucket_of(ns // width * width + (width - 1) // 2)
        expected[index] = expected.get(index, 0) + 1
    assert buckets(one_histogram(totals(*found))) == expected


@given(st.lists(LATENCIES, min_size=1, max_size=4))
def test_runs_add_up_bucket_by_bucket(runs: list[list[int]]) -> None:
    store = SeriesStore()
    for run in runs:
        store.commit(BASELINE, run_totals(totals(*run)), "success")
    (metric,) = page(store)[NAME].metric
    added, at_once = metric.histogram, one_histogram(totals(*chain(*runs)))
    assert buckets(added) == buckets(at_once)
    assert list(added.bucket) == list(at_once.bucket)
    assert (added.sample_count, added.zero_count) == (at_once.sample_count, at_once.zero_count)
    assert added.sample_sum == pytest.approx(at_once.sample_sum)


def test_an_empty_one_is_still_a_native_one() -> None:
    histogram = one_histogram(totals())
    assert [(span.offset, span.length) for span in histogram.positive_span] == [(0, 0)]
    assert (histogram.sample_count, list(histogram.positive_delta)) == (0, [])


@pytest.mark.parametrize(
    ("histograms", "classic", "native"),
    [("classic", True, False), ("native", False, True), ("both", True, True)],
)
def test_a_scraper_chooses_its_histograms(
    histograms: Histograms, classic: bool, native: bool
) -> None:
    histogram = one_histogram(totals(1500, 4000), histograms)
    assert [bucket.upper_bound for bucket in histogram.bucket] == (
        [*LATENCY_BOUNDS_US, math.inf] if classic else []
    )
    assert bool(buckets(histogram)) == native
    assert bool(histogram.zero_threshold) == native


@given(st.builds(LabelSet, *[st.text(max_size=20)] * 6), st.integers(0, 2**53))
def test_any_label_survives(own: LabelSet, execs: int) -> None:
    store = SeriesStore()
    store.commit(own, run_totals(exec_count=execs), "success")
    (metric,) = page(store)["chainbench_exec_count_total"].metric
    assert (labels(metric), metric.counter.value) == (own._asdict(), execs)


def test_a_lone_surrogate_does_not_break_the_page() -> None:
    store = SeriesStore()
    store.commit(BASELINE._replace(impl="a\ud800b"), run_totals(exec_count=1), "success")
    (metric,) = page(store)["chainbench_exec_count_total"].metric
    assert labels(metric)["impl"] == "a?b"


def served(server: RunningServer, parameters: dict[str, str]) -> requests.Response:
    return requests.get(f"{server.url}/metrics", params=parameters, headers={"Accept": DELIMITED})


def test_it_is_served() -> None:
    with running_server() as server:
        server.call(
            lambda: server.recorder.series.commit(BASELINE, run_totals(totals(1500)), "success")
        )
        for parameters in ({}, {"histograms": "native"}, {"their_own": "x"}):
            answer = served(server, parameters)
            assert answer.headers["Content-Type"] == PageFormat.PROTOBUF.value
            (metric,) = families(answer.content)[NAME].metric
            assert len(metric.histogram.bucket) == (0 if "histograms" in parameters else 21)
            assert buckets(metric.histogram)
        refused = served(server, {"histograms": "exponential"})
    assert (refused.status_code, refused.json()["field"]) == (422, "histograms")
    assert "classic, native, both" in refused.json()["message"]
