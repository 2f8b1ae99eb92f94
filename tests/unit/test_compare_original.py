"""The evidence of both sides as report builders of the original agent read it."""

import json
import re
from typing import Any

import pytest
from fakes.busy_runs import paths
from fakes.groups import good_evidence
from fakes.pages import DOCS, hold, names
from fakes.sample_evidence import latency
from hypothesis import given
from hypothesis import strategies as st

from agent.compare.original import Measured, original_evidence

CONTRACT = {
    "runqlat": {"baseline_hist", "optimized_hist", "p95_baseline_us", "p95_optimized_us"},
    "biolatency": {"baseline_hist", "optimized_hist", "p95_baseline_us", "p95_optimized_us"},
    "offcpu": {
        *("baseline_total_ms", "optimized_total_ms"),
        *("baseline_top_reasons", "optimized_top_reasons"),
    },
    "exec": {
        *("baseline_exec_count", "optimized_exec_count"),
        *("baseline_top_commands", "optimized_top_commands"),
    },
    "syscall_counts": {"baseline", "optimized"},
}


def run(wall_ms: float | None = 100.0, name: str = "a", **changes: Any) -> Measured:
    return Measured(name, wall_ms, good_evidence(**changes))


def bars(section: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return the bars as the original's page pairs them: by index."""
    return [
        (before["bucket_us"], before["count"], section["optimized_hist"][index]["count"])
        for index, before in enumerate(section["baseline_hist"])
    ]


def test_everything_that_the_original_has_is_there() -> None:
    found = original_evidence([run(name="x")], [run(name="y")])
    assert found["available"] is True
    assert found["runs"] == {"baseline": "x", "optimized": "y"}
    for section, fields in CONTRACT.items():
        assert set(found[section]) == fields
    assert found["offcpu"]["baseline_total_ms"] == 1250.0
    assert found["offcpu"]["baseline_top_reasons"][0] == {"reason": "futex", "ms": 450.0}
    assert found["exec"]["optimized_top_commands"][0] == {"command": "python3", "count": 5}
    assert found["syscall_counts"]["baseline"] == {
        "futex": 1250,
        "fsync": 45,
        "openat": 230,
        "read": 8900,
        "write": 450,
    }


def test_bounds_are_written_as_the_original_writes_them() -> None:
    """Whole numbers, except where a bucket begins between two."""
    odd = latency(histogram=[{"bucket_us": low, "count": 1} for low in (0.5, 1)])
    found = original_evidence([run(runqlat=odd)], [run(runqlat=odd)])
    written = json.dumps([bar["bucket_us"] for bar in found["runqlat"]["baseline_hist"]])
    assert written == "[0.5, 1]"


def test_every_field_is_documented() -> None:
    lacking = good_evidence()
    del lacking["exec"]
    documents = [
        original_evidence([run()], [run()]),
        original_evidence([Measured("a", 1.0, lacking)], [run()]),
        original_evidence([], [run()]),
        {"mock": True},
    ]
    dynamic = {
        r"^biolatency\..*": "biolatency",
        r"^unavailable\..*": "unavailable.<section>",
        r"^syscall_counts\.(baseline|optimized)": "syscall_counts.SIDE",
    }
    found = {path for document in documents for path in paths(document)}
    for written, meant in dynamic.items():
        found = {re.sub(written, meant, path) for path in found}
    page, heading = DOCS / "reference/settings.md", "The original's evidence"
    hold(page, heading, found, names(page, heading))


def test_bars_of_the_same_index_are_of_the_same_bucket() -> None:
    low = latency(histogram=[{"bucket_us": 0, "count": 5}, {"bucket_us": 2, "count": 7}])
    high = latency(histogram=[{"bucket_us": 8, "count": 3}])
    found = original_evidence([run(runqlat=low)], [run(runqlat=high)])["runqlat"]
    assert bars(found) == [(0, 5, 0), (1, 0, 0), (2, 7, 0), (4, 0, 0), (8, 0, 3)]
    assert [row["bucket_us"] for row in found["optimized_hist"]] == [0, 1, 2, 4, 8]


@given(st.lists(st.integers(0, 20), max_size=8), st.lists(st.integers(0, 20), max_size=8))
def test_no_count_is_lost_or_made_up(first: list[int], second: list[int]) -> None:
    sides = [
        latency(histogram=[{"bucket_us": 2**power, "count": power + 1} for power in sorted(set(s))])
        for s in (first, second)
    ]
    found = original_evidence([run(runqlat=sides[0])], [run(runqlat=sides[1])])["runqlat"]
    for side, whole in zip(("baseline", "optimized"), sides, strict=True):
        filled = [row for row in found[f"{side}_hist"] if row["count"]]
        assert filled == whole["histogram"]


def test_the_run_in_the_middle_stands_for_its_side() -> None:
    group = [run(ms, f"r{ms:g}") for ms in (30.0, 10.0, 20.0, 40.0)]
    assert original_evidence(group, [run()])["runs"]["baseline"] == "r20"
    assert original_evidence([*group, run(None, "untimed")], [run()])["runs"]["baseline"] == "r20"


def test_a_run_without_usable_evidence_stands_for_nothing() -> None:
    bad = run(1.0, "bad", completeness={"verdict": "invalid"})
    assert original_evidence([bad, run(9.0, "good")], [run()])["runs"]["baseline"] == "good"
    none = Measured("none", 1.0, {"available": False, "reason": "no eBPF"})
    assert original_evidence([none], [run()]) == {
        "available": False,
        "reason": "no run of baseline has evidence that can be used",
    }


def test_what_is_not_known_is_left_out() -> None:
    empty = latency(histogram=[], p95_us=None)
    lacking = good_evidence(biolatency=empty)
    del lacking["exec"]
    found = original_evidence([Measured("a", 1.0, lacking)], [run()])
    assert "p95_baseline_us" not in found["biolatency"]
    assert found["biolatency"]["p95_optimized_us"] == 6.31
    assert "exec" not in found
    assert found["unavailable"] == {"exec": "not measured in the run of baseline"}


@pytest.mark.parametrize("value", [None, 1, "x", [None], [{"bucket_us": None}], {"a": 1}])
def test_a_section_of_another_shape_makes_up_nothing(value: Any) -> None:
    odd = {name: {"histogram": value, "top_reasons": value, "total_ms": value} for name in CONTRACT}
    found = original_evidence([run(**odd)], [run(**odd)])
    assert found["runqlat"] == {"baseline_hist": [], "optimized_hist": []}
