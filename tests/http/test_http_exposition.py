"""The metrics page, compared with a golden copy and read by the official parsers.

After an intended change of the page, run ``CHAINBENCH_GOLDEN=write pytest tests/http``.
"""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.shown_metrics import BASELINE, CREATED, DELIMITED, INTERNAL, STARTED, a_store, latencies
from fakes.totals import run_totals
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.aggregate.series import UNAVAILABLE, LabelSet, SeriesStore
from agent.http.exposition import AT_ONCE, Exposition, writer
from agent.http.negotiation import PageFormat, accepts_gzip, choose_format
from agent.internal_metrics import InternalMetric
from agent.model import Labels, Report

GOLDEN = Path(__file__).parent / "golden"
PARSERS = {PageFormat.TEXT: parse_text, PageFormat.OPENMETRICS: parse_openmetrics}
TEXTS = list(PARSERS)


def families(page: bytes, page_format: PageFormat) -> dict[str, Metric]:
    return {metric.name: metric for metric in PARSERS[page_format](page.decode())}


def samples(
    page: bytes, page_format: PageFormat
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in PARSERS[page_format](page.decode())
        for sample in metric.samples
    }


@pytest.mark.parametrize("page_format", TEXTS)
def test_the_page_is_the_golden_one(page_format: PageFormat) -> None:
    page = Exposition(a_store(), STARTED).render(INTERNAL, page_format)
    golden = GOLDEN / f"{page_format.name.lower()}.txt"
    if os.environ.get("CHAINBENCH_GOLDEN") == "write":
        golden.write_bytes(page)
    assert page == golden.read_bytes()


def test_a_step_is_about_a_few_label_sets_whether_they_are_cached_or_not() -> None:
    store = SeriesStore(cap=600)
    for number in range(600):
        labels = LabelSet.of(Labels(scenario="baseline", impl=str(number)), "host")
        store.commit(labels, run_totals(exec_count=1), "success")
    exposition = Exposition(store, STARTED)
    for own in (writer(PageFormat.TEXT, "both"), writer(PageFormat.PROTOBUF, "both")):
        first = list(exposition.steps(INTERNAL, own))
        again = list(exposition.steps(INTERNAL, own))
        assert again == first
        assert again[:600] == [()] * 600
        in_a_step = [{*re.findall(rb'impl="(\d+)"', b"".join(step))} for step in again]
        assert max(map(len, in_a_step)) <= AT_ONCE


def test_nothing_is_left_of_label_sets_that_are_hidden_in_any_format() -> None:
    store = SeriesStore(cap=1)
    exposition = Exposition(store, STARTED)
    for number in range(3):
        labels = LabelSet.of(Labels(scenario="baseline", impl=str(number)), "host")
        store.commit(labels, run_totals(exec_count=1), "success")
        exposition.render(INTERNAL, TEXTS[number % 2])
    assert {known for of_format in exposition._rendered.values() for known in of_format} == {labels}


@pytest.mark.parametrize("page_format", TEXTS)
def test_the_official_parser_finds_names_types_and_values(page_format: PageFormat) -> None:
    page = Exposition(a_store()).render(INTERNAL, page_format)
    found = families(page, page_format)
    assert {name: metric.type for name, metric in found.items()} == {
        "chainbench_runqlat_microseconds": "histogram",
        "chainbench_biolatency_microseconds": "histogram",
        "chainbench_offcpu_milliseconds_total": "gauge",
        "chainbench_duration_milliseconds": "gauge",
        "chainbench_gain_percent": "gauge",
        "chainbench_successful_repetitions": "gauge",
        "chainbench_last_run_runqlat_seconds": "gauge",
        "chainbench_last_run_runqlat_waits": "gauge",
        "chainbench_last_run_biolatency_seconds": "gauge",
        "chainbench_last_run_biolatency_requests": "gauge",
        "chainbench_last_run_wall_seconds": "gauge",
        "chainbench_last_run_timestamp_seconds": "gauge",
        # The parsers of both formats name counters without _total.
        "chainbench_wall_seconds": "counter",
        "chainbench_exec_count": "counter",
        "chainbench_syscall_count": "counter",
        "chainbench_softirqs": "counter",
        "chainbench_softirq_seconds": "counter",
        "chainbench_runs": "counter",
        "chainbench_runs_unavailable": "counter",
        "chainbench_agent_build_info": "gauge",
        "chainbench_agent_events_lost": "counter",
        "chainbench_agent_label_sets": "gauge",
        "chainbench_agent_label_sets_hidden": "counter",
        "chainbench_agent_label_sets_forgotten": "counter",
        "chainbench_agent_label_sets_refused": "counter",
    }
    labels = set(BASELINE._asdict().items())
    values = samples(page, page_format)

    def value(name: str, *extra: tuple[str, str]) -> float:
        return values[name, frozenset(labels | set(extra))]

    assert value("chainbench_offcpu_milliseconds_total") == 1250.5
    assert value("chainbench_duration_milliseconds") == 1500.0
    assert value("chainbench_exec_count_total") == 12
    assert value("chainbench_syscall_count_total", ("syscall", "other")) == 7
    assert value("chainbench_runs_total", ("result", "success")) == 1
    assert value("chainbench_runs_total", ("result", "fail")) == 0
    assert value("chainbench_runqlat_microseconds_sum") == 1234567.25
    assert value("chainbench_runqlat_microseconds_count") == 13
    assert values["chainbench_agent_label_sets_hidden_total", frozenset()] == 1
    assert values["chainbench_agent_label_sets", frozenset({("state", "shown")})] == 4
    assert "idle longest" not in page.decode()
    assert value("chainbench_runs_unavailable_total") == 0
    assert value("chainbench_successful_repetitions") == 30
    assert value("chainbench_last_run_runqlat_seconds", ("percentile", "99.9")) == 0.25
    assert value("chainbench_last_run_runqlat_waits") == 13
    assert value("chainbench_last_run_wall_seconds", ("state", "blocked")) == 0
    assert value("chainbench_last_run_timestamp_seconds", ("verdict", "degraded")) == 1792400500.5
    labels = {pair if pair[0] != "variant" else ("variant", 'q"u\\o\nte') for pair in labels}
    assert value("chainbench_runs_unavailable_total") == 1
    assert value("chainbench_last_run_timestamp_seconds", ("verdict", UNAVAILABLE)) == 1792400600.0
    labels = set(BASELINE._asdict().items())
    (gain,) = found["chainbench_gain_percent"].samples
    assert gain.value == -20.0
    assert gain.labels == dict(labels - {("scenario", "baseline")})
    assert ("variant", 'q"u\\o\nte') in {pair for _, pairs in values for pair in pairs}


@pytest.mark.parametrize("page_format", TEXTS)
def test_buckets_are_cumulative_and_bounded_as_the_contract_says(page_format: PageFormat) -> None:
    page = Exposition(a_store()).render((), page_format)
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for sample in families(page, page_format)["chainbench_runqlat_microseconds"].samples
        if sample.name.endswith("_bucket")
    ]
    assert [bound for bound, _ in buckets] == [*(2.0**k for k in range(20)), float("inf")]
    assert [count for _, count in buckets] == [5, 5, *[12] * 18, 13]


def test_what_was_not_measured_is_not_shown() -> None:
    store = SeriesStore()
    store.commit(BASELINE, run_totals(), "success")
    page = Exposition(store).render((), PageFormat.TEXT)
    shown = {name for name, _ in samples(page, PageFormat.TEXT)}
    of_runs = {name for name in shown if not name.startswith("chainbench_agent_")}
    assert of_runs == {"chainbench_runs_total", "chainbench_runs_unavailable_total"}


@pytest.mark.parametrize("page_format", TEXTS)
def test_what_was_kept_is_renewed_when_it_changes(page_format: PageFormat) -> None:
    store = a_store()
    kept = Exposition(store, STARTED)
    kept.render((), page_format)
    totals = run_totals(latencies(1), latencies(2, 2), 3.5, 4, {"futex": 5})
    for step in (
        lambda: store.set_live(BASELINE, totals),
        lambda: store.commit(BASELINE, totals, "fail"),
        lambda: store.report(BASELINE, Report(Labels(), 1.0, 2.0, 3.0)),
        lambda: store.set_live(BASELINE._replace(machine="another"), totals),
        lambda: store.set_live(BASELINE._replace(commit="idle longest"), totals),
    ):
        before = kept.render((), page_format)
        step()
        page = kept.render((), page_format)
        assert page != before
        assert page == Exposition(store, STARTED).render((), page_format)


@given(st.builds(LabelSet, *[st.text(max_size=20)] * 6))
def test_any_label_survives_both_formats(labels: LabelSet) -> None:
    store = SeriesStore()
    store.commit(labels, run_totals(exec_count=2**63), "success")
    for page_format in TEXTS:
        page = Exposition(store).render((), page_format)
        sample, *_ = families(page, page_format)["chainbench_exec_count"].samples
        assert sample.labels == labels._asdict()
        assert sample.value == 2**63


@pytest.mark.parametrize("page_format", TEXTS)
def test_a_lone_surrogate_does_not_break_the_page(page_format: PageFormat) -> None:
    store = SeriesStore()
    store.commit(BASELINE._replace(impl="a\ud800b"), run_totals(exec_count=1), "success")
    page = Exposition(store).render((), page_format)
    sample, *_ = families(page, page_format)["chainbench_exec_count"].samples
    assert sample.labels["impl"] == "a?b"


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "NaN"), (float("inf"), "+Inf"), (-float("inf"), "-Inf"), (1e300, "1e+300")],
)
def test_odd_values_of_internal_metrics(value: float, text: str) -> None:
    odd = InternalMetric("chainbench_agent_odd", "", "gauge", (({}, value),))
    for page_format in TEXTS:
        page = Exposition(SeriesStore()).render([odd], page_format)
        assert f"\nchainbench_agent_odd {text}\n" in page.decode()
        assert families(page, page_format)


def test_the_page_stays_bounded() -> None:
    store = SeriesStore()
    exposition = Exposition(store)
    for number in range(10_000):
        store.commit(BASELINE._replace(commit=str(number)), run_totals(exec_count=1), "success")
        if number % 1000 == 0:
            exposition.render((), PageFormat.TEXT)
    page = exposition.render((), PageFormat.TEXT)
    assert page.count(b"\nchainbench_exec_count_total{") == 200
    assert b'\nchainbench_agent_label_sets{state="hidden"} 9800\n' in page
    assert b"\nchainbench_agent_label_sets_hidden_total 9800\n" in page
    assert b'commit="9999"' in page
    assert b'commit="9799"' not in page


def test_promtool_dislikes_only_names_of_the_contract(tool: Callable[[str], str]) -> None:
    page = Exposition(a_store()).render(INTERNAL, PageFormat.TEXT)
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )
    complaints = set(checked.stderr.decode().splitlines())
    units = {complaint for complaint in complaints if "use base unit" in complaint}
    assert {unit.split()[0] for unit in units} == {
        "chainbench_runqlat_microseconds",
        "chainbench_biolatency_microseconds",
        "chainbench_offcpu_milliseconds_total",
        "chainbench_duration_milliseconds",
    }
    suffix = 'non-counter metrics should not have "_total" suffix'
    assert complaints - units == {f"chainbench_offcpu_milliseconds_total {suffix}"}


@pytest.mark.parametrize("name", ["chainbench_runs_total", "chainbench_agent_x"])
def test_an_internal_metric_with_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        InternalMetric(name, "", "counter", ())


PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2_42,
        PROMETHEUS_3,
        "application/openmetrics-text",
        'Application/OpenMetrics-Text; version="1.0.0"',
        "text/plain, application/openmetrics-text; version=0.0.1",
    ],
)
def test_these_accept_headers_get_openmetrics(accept: str) -> None:
    assert choose_format(accept) is PageFormat.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html",
        "application/json",
        "text/plain; version=0.0.4",
        "application/openmetrics-text; version=abc",
        "application/openmetrics-text; version=2.0.0",
        "application/openmetrics-text; q=0",
        "application/openmetrics-text; q=nonsense",
        "application/openmetrics-text; q=nan",
        "application/openmetrics-text; q=0.1, text/plain",
        "application/openmetrics-text; q=0.1, text/*; q=0.2",
        ";;;,,,===;q=;version",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily",
        "application/vnd.google.protobuf;proto=a.b;encoding=delimited",
        f"{DELIMITED};q=0.1, text/plain",
    ],
)
def test_these_accept_headers_get_plain_text(accept: str) -> None:
    assert choose_format(accept) is PageFormat.TEXT


@pytest.mark.parametrize(
    "accept",
    [
        f"{DELIMITED},{PROMETHEUS_2_42}",
        f"{DELIMITED};q=0.7,{PROMETHEUS_3}",
        'application/VND.google.protobuf; encoding="delimited"; '
        'proto="io.prometheus.client.MetricFamily"',
    ],
)
def test_these_accept_headers_get_protobuf(accept: str) -> None:
    assert choose_format(accept) is PageFormat.PROTOBUF


@given(st.text())
def test_no_accept_header_is_an_error(accept: str) -> None:
    assert choose_format(accept) in PageFormat
    assert accepts_gzip(accept) in (True, False)


@pytest.mark.parametrize("accepted", ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1"])
def test_these_encodings_get_gzip(accepted: str) -> None:
    assert accepts_gzip(accepted)


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip; q=0, *", "br", "gzipped"])
def test_these_encodings_get_none(accepted: str) -> None:
    assert not accepts_gzip(accepted)


def test_openmetrics_says_when_counters_and_histograms_were_created() -> None:
    page = Exposition(a_store(), STARTED).render(INTERNAL, PageFormat.OPENMETRICS).decode()
    created = re.findall(r"^(chainbench_\w+)_created(?:\{.*\})? (\S+)$", page, re.MULTILINE)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    assert {types[name] for name, _ in created} == {"counter", "histogram"}
    by_owner = {
        owner: {float(when) for name, when in created if name.startswith(owner)}
        for owner in ("chainbench_agent_", "chainbench_runs", "chainbench_runqlat")
    }
    assert by_owner == {
        "chainbench_agent_": {STARTED},
        "chainbench_runs": {CREATED},
        "chainbench_runqlat": {CREATED},
    }
    assert b"_created" not in Exposition(a_store()).render(INTERNAL, PageFormat.TEXT)
