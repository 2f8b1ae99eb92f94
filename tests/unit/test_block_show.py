"""Block I/O for people: what is not in the distribution is named below it."""

from fakes.sample_evidence import evidence, latency

from agent.show.text import render


def shown(**fields: object) -> str:
    return render(evidence(biolatency=latency(**fields)))


def test_what_failed_is_told_by_its_error() -> None:
    row = {"device": "7:0", "operation": "write", "error": "EIO", "count": 402}
    text = shown(by_operation=[row, {**row, "error": None, "count": 598}])
    assert "7:0: 402 write requests failed with EIO\n" in text
    assert "598" not in text


def test_the_oldest_open_request_is_named() -> None:
    oldest = {"device": "7:0", "operation": "write", "command": "dd", "age_ms": 2500.0}
    text = shown(open_at_stop={"count": 1, "oldest": oldest})
    assert "1 in flight at the stop, the oldest a write on 7:0 by dd, 2.5 s\n" in text
    assert "in flight" not in shown(open_at_stop={"count": 0, "oldest": {"device": None}})


def test_a_disk_that_nothing_measures_is_told_with_the_kernels_counts() -> None:
    unmeasured = {
        "device": "253:1",
        "measured_by": None,
        "in_diskstats": {"read": 500, "write": 20, "discard": 0, "flush": None},
    }
    measured = {**unmeasured, "device": "254:0", "measured_by": "requests"}
    text = shown(devices=[unmeasured, measured])
    assert "253:1: not measured; by the kernel's count 500 reads, 20 writes completed\n" in text
    assert "254:0" not in text


def test_a_request_that_hung_through_the_whole_run_is_told() -> None:
    in_flight = {"write": {"older_than_run": 1}, "read": {"older_than_run": 0}}
    text = shown(devices=[{"device": "7:1", "measured_by": "requests", "in_flight": in_flight}])
    assert "7:1: 1 writes hung through the whole run\n" in text
    assert "reads hung" not in text
