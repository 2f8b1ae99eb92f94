"""When kernel tests repeat a measurement: only if the first evidence says why, and only once."""

from types import SimpleNamespace
from typing import Any

import pytest
from fakes import block_evidence
from fakes.block_evidence import repeated_if_unseen, unseen
from fakes.checks import FIELDS, passing

from agent.words import Json


def evidence(passes: bool, unseen: int = 0, *reasons: str) -> Json:
    check = dict.fromkeys(FIELDS, 0) | {"name": "forks", "pass": passes}
    return {
        "checks": [check],
        "completeness": {"unseen_switches": unseen, "reasons": list(reasons)},
    }


@pytest.mark.parametrize(
    "first",
    [evidence(False, 4), evidence(False, 0, "cpus_changed: online CPUs: 0-1, then 0")],
    ids=["unseen", "one CPU fewer"],
)
def test_a_spoilt_measurement_is_followed_by_one_that_decides(first: Json) -> None:
    good = evidence(True)
    assert passing(iter([first, good]).__next__, "forks") is good
    with pytest.raises(AssertionError):
        passing(iter([first, first, good]).__next__, "forks")


def test_a_failure_without_a_reason_is_one() -> None:
    with pytest.raises(AssertionError):
        passing(iter([evidence(False), evidence(True)]).__next__, "forks")


def test_what_passes_is_not_measured_again() -> None:
    good = evidence(True, 4)
    assert passing(iter([good]).__next__, "forks") is good


def of_disk(received: int, excluded: int = 0, kernel: int = 200, apart: int = 0) -> Json:
    """Return evidence of a disk, and of another one that has no requests."""
    rows = [
        {"device": "7:0", "in_diskstats": True, "count": received - apart},
        {"device": "7:0", "in_diskstats": False, "count": apart},
        {"device": "252:0", "in_diskstats": False, "count": 70},
    ]
    devices = [
        {"device": "7:0", "measured_by": "requests", "in_diskstats": {"write": kernel, "read": 0}},
        {"device": "252:0", "measured_by": "bios", "in_diskstats": {"write": 90}},
        {"device": "259:0", "measured_by": "requests", "in_diskstats": {"write": None}},
    ]
    stream = {"received": received, "excluded": excluded}
    return {
        "biolatency": {"by_operation": rows, "devices": devices},
        "completeness": {"streams": {"biolatency": stream}},
    }


def test_completions_that_no_program_saw_are_what_the_kernel_counted_more() -> None:
    assert unseen(of_disk(183)) == 17
    assert unseen(of_disk(183, excluded=10)) == 7
    assert unseen(of_disk(200, apart=30)) == 30, "the kernel does not count these"
    assert unseen(of_disk(202)) == 0


@pytest.mark.parametrize(
    ("last", "ran", "repeated"),
    [(of_disk(183), 1, True), (of_disk(183), 0, False), (of_disk(200), 1, False), ({}, 1, False)],
    ids=["unseen", "process 1 did not run", "all seen", "no run"],
)
def test_a_test_of_completions_is_repeated_twice_if_some_went_unseen(
    monkeypatch: pytest.MonkeyPatch, last: Json, ran: int, repeated: bool
) -> None:
    agent, calls, switches = SimpleNamespace(last=of_disk(100)), [], 0
    monkeypatch.setattr(block_evidence, "process_1_switches", lambda: switches)
    monkeypatch.setattr(block_evidence, "PAUSE_S", 0)

    @repeated_if_unseen
    def test(agent: Any, count: int) -> None:
        nonlocal switches
        agent.last, switches = last or agent.last, switches + ran
        calls.append(count)
        raise AssertionError

    with pytest.raises(AssertionError):
        test(agent=agent, count=7)
    assert calls == [7] * (1 + 2 * repeated)
