"""The log of a run's distributions, as HdrHistogram's own reader sees it."""

from pathlib import Path
from typing import Any

import pytest
from fakes.histograms import content, histogram_of
from fakes.sample_evidence import evidence, latency
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from agent.aggregate.histogram import LatencyHistogram
from agent.keeping.hlog import hlog

WAITS, READS, WITH_QUEUE, TIMER = [1_000, 90_000], [64_000], [65_000, 70_000], [300]
MEASURED = {
    "measured_from": "2026-03-01T10:11:12.250+00:00",
    "measured_to": "2026-03-01T10:11:14.750+00:00",
}


def of(values: list[int], **further: Any) -> dict[str, Any]:
    return latency(hdr=histogram_of(values).encode(), max_us=max(values) / 1000, **further)


def whole(**changes: Any) -> dict[str, Any]:
    softirq = {"by_vector": [of(TIMER, vector="timer")]}
    sections = {"runqlat": of(WAITS), "biolatency": of(READS, with_queue=of(WITH_QUEUE))}
    return evidence(**MEASURED | sections | {"softirq": softirq} | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.hlog"


def read(path: Path) -> dict[str, Any]:
    """Return the histograms in a log by their tag."""
    reader = HistogramLogReader(str(path), HdrHistogram(1, 10**11, 3))
    found = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found[histogram.get_tag()] = histogram
    reader.close()
    return found


def test_every_distribution_is_there_under_its_name(path: Path) -> None:
    path.write_text(hlog(whole()))
    found = read(path)
    expected = {
        "runqlat": WAITS,
        "biolatency": READS,
        "biolatency.with_queue": WITH_QUEUE,
        "softirq.timer": TIMER,
    }
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        ours = LatencyHistogram.decode(found[tag].encode().decode())
        assert content(ours)[:2] == content(histogram_of(values))[:2]


def test_the_rows_of_another_section_are_called_by_what_it_lists_them_by(path: Path) -> None:
    path.write_text(hlog(whole(hardirq={"by_irq": [of(TIMER, irq="9"), of(READS, irq="14")]})))
    assert {tag for tag in read(path) if tag.startswith("hardirq")} == {"hardirq.9", "hardirq.14"}


def test_the_times_are_those_of_the_measurement(path: Path) -> None:
    path.write_text(hlog(whole()))
    histogram = read(path)["runqlat"]
    began_ms, ended_ms = histogram.get_start_time_stamp(), histogram.get_end_time_stamp()
    assert began_ms == pytest.approx(1772359872250, abs=1)
    assert ended_ms - began_ms == pytest.approx(2500, abs=1)


def test_the_largest_value_is_in_milliseconds(path: Path) -> None:
    [line] = [line for line in hlog(whole()).splitlines() if line.startswith("Tag=runqlat,")]
    assert line.split(",")[1:4] == ["0.000", "2.500", "0.090"]


def test_a_run_that_was_not_stopped_lasts_until_it_was_last_written(path: Path) -> None:
    unfinished = whole(stopped_at="2026-03-01T10:11:13.250+00:00")
    del unfinished["measured_to"]
    assert ",0.000,1.000," in hlog(unfinished)


def test_a_run_that_measured_nothing_has_no_line(path: Path) -> None:
    nothing = {"run_id": "x", "available": False, "reason": "no eBPF"}
    path.write_text(hlog(nothing))
    assert read(path) == {}
    assert "StartTimestamp" in path.read_text()
