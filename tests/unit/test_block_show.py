"""Block I/O for people: what is not in the distribution is named below it."""

from fakes.sample_evidence import evidence, latency

from agent.show.text import render


def shown(**fields: object) -> str:
    return render(evidence(biolatency=latency(**fields)))


def test_what_failed_is_shown_by_its_error() -> None:
    row = {"device": "7:0", "operation": "write", "error": "EIO", "count": 402}
    by_others = {**row, "by": "kernel_threads", "count": 5}
    text = shown(by_operation=[row, by_others, {**row, "error": None, "count": 598}])
    assert "7:0: 402 write requests failed with EIO\n" in text
    assert "7:0: 5 write requests by kernel threads failed with EIO\n" in text
    assert "598 write requests" not in text


def test_what_is_not_in_the_histogram_is_told_in_a_line_with_the_reasons() -> None:
    reasons = [
        {"reason": "kernel_threads", "count": 1_200, "device_ms": 592.0},
        {"reason": "other_tasks", "count": 7, "device_ms": None},
        {"reason": "of a later version", "count": 2, "device_ms": 1.0},
    ]
    text = shown(not_in_histogram=reasons)
    assert (
        "  not in the histogram: 2 of a later version (1 ms)\n"
        "  on the whole machine meanwhile: 1,200 by kernel threads (592 ms),\n"
        "  7 by tasks out of scope\n"
    ) in text
    assert "not in the histogram" not in shown(not_in_histogram=[])
    assert "not in the histogram" not in shown()


def test_the_oldest_open_request_is_named() -> None:
    oldest = {"device": "7:0", "operation": "write", "command": "dd", "age_ms": 2500.0}
    text = shown(open_at_stop={"count": 1, "oldest": oldest})
    assert "1 in flight at the stop, the oldest a write on 7:0 by dd, 2.5 s\n" in text
    assert "in flight" not in shown(open_at_stop={"count": 0, "oldest": {"device": None}})


def test_a_disk_that_nothing_measures_is_reported_with_the_kernels_counts() -> None:
    unmeasured = {
        "device": "253:1",
        "measured_by": None,
        "in_diskstats": {"read": 500, "write": 20, "discard": 0, "flush": None},
    }
    measured = {**unmeasured, "device": "254:0", "measured_by": "requests"}
    text = shown(devices=[unmeasured, measured])
    assert "253:1: not measured; by the kernel's count 500 reads, 20 writes completed\n" in text
    assert "254:0" not in text


def test_a_request_that_hung_through_the_whole_run_is_reported() -> None:
    in_flight = {"write": {"older_than_run": 1}, "read": {"older_than_run": 0}}
    text = shown(devices=[{"device": "7:1", "measured_by": "requests", "in_flight": in_flight}])
    assert "7:1: 1 write hung through the whole run\n" in text
    assert "reads hung" not in text


def test_a_disk_that_lies_on_another_one_is_marked_and_its_rows_are_separate() -> None:
    stacked = {"device": "7:0", "measured_by": "requests", "lies_on": ["254:0", "254:16"]}
    row = {"device": "7:0", "operation": "read", "by": "tasks", "count": 5, "device_ms": 1.0}
    rows = [
        {**row, "in_histogram": False},
        {**row, "device": "254:0", "in_histogram": True},
        {**row, "device": "8:0", "in_flight_at_start": True, "in_histogram": False},
    ]
    lowest = {"device": "254:0", "measured_by": "requests", "lies_on": []}
    text = shown(by_operation=rows, devices=[stacked, lowest])
    assert "  7:0: lies on 254:0, 254:16\n" in text
    assert text.count("lies on") == 1
    by_device = {line.split()[0]: line for line in text.splitlines() if " tasks " in line}
    assert by_device["7:0"].endswith("1 ms  not in histogram")
    assert by_device["254:0"].endswith("  1 ms")
    assert by_device["8:0"].endswith("  –     issued before")


def test_of_many_rows_the_longest_times_are_shown_and_the_rest_is_counted() -> None:
    row = {"operation": "read", "by": "tasks", "count": 1}
    rows = [{**row, "device": f"7:{n}", "device_ms": float(n)} for n in range(14)]
    text = shown(by_operation=rows)
    assert "7:13 " in text
    assert "7:3 " not in text
    assert "  and 4 more rows\n" in text
