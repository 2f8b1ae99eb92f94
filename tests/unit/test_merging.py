"""Evidence of several machines, added up."""

from collections.abc import Sequence
from typing import Any

import pytest
from fakes.any_json import JSON
from fakes.fleet import distribution, document, of_machine
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.merging import merged, with_merged

LATENCIES = st.lists(st.integers(0, 10**11).map(lambda ns: ns / 1000), max_size=50)


def waits(latencies_us: Sequence[float], **changes: Any) -> dict[str, Any]:
    section = {**distribution(latencies_us), "preempted_ms": 0.0, "lost": 0}
    return of_machine(runqlat={**section, **changes})


@given(st.lists(LATENCIES, min_size=1, max_size=4))
def test_the_distribution_of_all_is_that_of_all_their_latencies(
    by_machine: list[list[float]],
) -> None:
    first, *others = map(waits, by_machine)
    found = merged(document(*others, runqlat=first["runqlat"]))["runqlat"]
    expected = distribution([us for one in by_machine for us in one])
    mean, expected_mean = found.pop("mean_us"), expected.pop("mean_us")
    assert mean == (expected_mean if expected_mean is None else pytest.approx(expected_mean))
    assert {name: found[name] for name in expected} == expected
    assert found["machines"] == len(by_machine)


def test_totals_are_added() -> None:
    found = merged(document(of_machine(), of_machine()))
    assert found["machines"] == ["here", "db0", "db1"]
    assert found["offcpu"] == {
        "machines": 3,
        "total_ms": 321.0,
        "top_reasons": [
            {"reason": "futex", "ms": 300.0, "count": 30},
            {"reason": "read", "ms": 15, "count": 3},
        ],
        "other": {"ms": 6.0, "count": 12},
        "count": 45,
    }
    assert found["exec"]["exec_count"] == 36
    assert found["exec"]["top_commands"][0] == {"command": "python3", "count": 15}
    assert found["exec"]["other"] == 36 - 24
    assert found["syscall_counts"]["futex"] == 3 * 1250
    assert found["syscall_counts"]["all"]["mmap"] == 3 * 70
    assert found["biolatency"]["with_queue"]["count"] == 9
    assert found["completeness"] == {"verdict": "complete", "reasons": []}


def test_what_divides_the_time_of_one_machine_is_not_added() -> None:
    wall = {"available": True, "wall_ms": 10.0}
    whole = with_merged(document(of_machine(), wall=wall))
    assert whole["wall"] == wall, "of the machine of the workload"
    assert "wall" not in whole["fleet"]["merged"]


def test_a_machine_without_evidence_is_named_and_costs_no_other() -> None:
    unavailable = {"available": False, "reason": "no capability"}
    found = merged(document(of_machine(), unavailable, reasons=["Connection refused"]))
    assert found["machines"] == ["here", "db0"]
    assert found["runqlat"]["count"] == 6
    assert found["completeness"]["verdict"] == "degraded"
    assert found["completeness"]["reasons"] == [
        "machine_missing: db1: no capability",
        "machine_missing: gone0: Connection refused",
    ]


def test_without_evidence_of_the_workload_the_others_are_added() -> None:
    found = merged(document(of_machine(), of_machine(), available=False, reason="was killed"))
    assert found["machines"] == ["db0", "db1"]
    assert found["completeness"]["reasons"] == ["machine_missing: here: was killed"]


def test_without_any_evidence_there_is_no_sum() -> None:
    found = merged(document(reasons=["a", "b"], available=False, reason="c"))
    assert found == {"available": False, "reason": "none of the machines has evidence"}


@pytest.mark.parametrize("word", ["degraded", "invalid"])
def test_the_worst_verdict_holds_and_each_reason_says_of_which_machine(word: str) -> None:
    one = of_machine(completeness={"verdict": word, "reasons": ["lost: 3 events", "odd"]})
    assert merged(document(one))["completeness"] == {
        "verdict": word,
        "reasons": ["lost: on db0: 3 events", "odd: on db0"],
    }


def test_two_agents_on_one_machine_are_said_to_count_twice() -> None:
    whole = document(of_machine())
    for row in whole["fleet"]["machines"]:
        row["boot_id"] = "same"
    completeness = merged(whole)["completeness"]
    assert completeness["verdict"] == "degraded"
    [reason] = completeness["reasons"]
    assert reason.startswith("same_machine: here, db0 are one machine")


def test_machines_of_one_name_are_told_apart_by_their_agents() -> None:
    whole = document(of_machine(), of_machine())
    for row in whole["fleet"]["machines"]:
        row["machine"] = "mock"
    names = merged(whole)["machines"]
    assert names == [f"mock (http://{one}:9090)" for one in ("here", "db0", "db1")]


def test_a_section_that_only_some_have_says_of_how_many_it_is() -> None:
    without = {name: value for name, value in of_machine().items() if name != "biolatency"}
    found = merged(document(without))
    assert (found["biolatency"]["machines"], found["runqlat"]["machines"]) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hdr": "nonsense"}, "not_merged: on db0: runqlat: not an encoded HdrHistogram"),
        ({"overflow": None}, "not_merged: on db0: runqlat: int()"),
    ],
)
def test_a_distribution_that_cannot_be_read_is_left_out_and_named(
    changes: dict[str, Any], why: str
) -> None:
    found = merged(document(waits([1, 2], **changes), of_machine()))
    assert found["runqlat"]["count"] == 6
    assert found["completeness"]["verdict"] == "degraded"
    [reason] = found["completeness"]["reasons"]
    assert reason.startswith(why)


def test_what_an_agent_of_another_version_lacks_is_named() -> None:
    old = of_machine(exec={"exec_count": 1, "top_commands": []})
    [reason] = merged(document(old))["completeness"]["reasons"]
    assert reason == "not_merged: on db0: exec: there is no 'forks'"


def test_synthetic_events_are_marked() -> None:
    assert merged(document(of_machine(mock=True)))["mock"] is True
    assert "mock" not in merged(document(of_machine()))


def test_evidence_of_one_agent_stays_as_it_is() -> None:
    one = of_machine()
    assert with_merged(one) is one


@given(JSON, st.sampled_from(["runqlat", "biolatency", "offcpu", "exec", "syscall_counts"]))
def test_whatever_an_agent_answers_the_others_are_added(content: Any, section: str) -> None:
    found = merged(document(of_machine(**{section: content}), of_machine()))
    assert found["available"] is True
    assert found[section]["machines"] in (2, 3)
