"""When kernel tests repeat a measurement: only if the first evidence says why, and only once."""

import pytest
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
