"""The cause of a difference: made-up pairs, of which all is known."""

from typing import Any

import pytest
from fakes.sample_evidence import evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.run.budget import Budget, budget_of
from agent.run.causes import cause_of
from agent.show.cause import cause as words
from agent.statistics.comparison import shift

JITTER = (0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.15, -0.25, 0.05, -0.05)


def run(n: int, **changes: Any) -> tuple[Budget | None, float]:
    """Return a run's budget and wall time: 20 ms computing, and what is changed."""
    has: dict[str, Any] = {
        "computing": 20.0,
        "cpu": changes.get("computing", 20.0),
        "busy": 1.0,
        "idle": 0.1,
        "blocked": {},
        "sums": changes.get("blocked", {}),
        "calls": {},
        "execs": 1,
        "forks": 0,
        "stolen": 0,
        "waited": 1.0,
        "other": 0.0,
        "failing": False,
        **changes,
    }
    jitter = JITTER[n % len(JITTER)]
    blocked = {name: ms + jitter * (ms > 0) for name, ms in has["blocked"].items()}
    wall = has["computing"] + has["busy"] + has["idle"] + sum(blocked.values()) + jitter / 2
    whole = evidence(
        wall={
            "available": True,
            "wall_ms": wall,
            "states": {"computing": {"ms": has["computing"] + jitter / 2}},
            "cpu_ms": has["cpu"] + jitter / 2,
            "for_busy_cpu_ms": has["busy"],
            "for_idle_cpu_ms": has["idle"],
            "blocked_until": [{"reason": name, "ms": ms} for name, ms in blocked.items()],
            "blocked_other_ms": has["other"],
        },
        offcpu={
            "total_ms": 1.0,
            "top_reasons": [{"reason": name, "ms": ms} for name, ms in has["sums"].items()],
            "other": {"ms": 0, "count": 0},
        },
        runqlat={"count": 10, "mean_us": has["waited"] * 100},
        exec={"exec_count": has["execs"], "forks": has["forks"]},
        syscall_counts={"all": has["calls"]},
        checks=[
            {"name": "cpu_time", "stolen": has["stolen"] * 1e6, "pass": True},
            {"name": "wall_sum", "stolen": 0, "pass": not has["failing"]},
        ],
    )
    return budget_of({}, whole), wall


def found(before: dict[str, Any], after: dict[str, Any], pairs: int = 10) -> dict[str, Any]:
    both = [(run(n, **before), run(n + 3, **after)) for n in range(pairs)]
    wall = shift([one[1] for one, _ in both], [two[1] for _, two in both])
    cause: dict[str, Any] = cause_of([(one[0], two[0]) for one, two in both], wall)
    return cause


SLEEP = "clock_nanosleep"
SERIAL = {"calls": {"futex": 40}}
FEWER = {"calls": {"futex": 4}}
CASES: list[tuple[str | None, dict[str, Any], dict[str, Any]]] = [
    ("more computing", {}, {"computing": 60.0}),
    (None, {}, {"computing": 60.0, "execs": 5}),
    (None, {}, {"computing": 60.0, "forks": 5}),
    (None, {}, {"computing": 60.0, "stolen": 30}),
    (None, {}, {"computing": 60.0, "cpu": 36.0}),
    ("less parallel", {"cpu": 60.0}, {"computing": 60.0, "cpu": 60.0}),
    (None, {"cpu": 60.0}, {"computing": 60.0, "cpu": 60.0, "waited": 35.0}),
    (
        "lock contention",
        {"cpu": 60.0, "sums": {"futex": 20.0}, **FEWER},
        {"computing": 60.0, "cpu": 60.0, "sums": {"futex": 90.0}, **SERIAL},
    ),
    (
        "less parallel",
        {"cpu": 60.0, "sums": {"futex": 20.0}, **FEWER},
        {"computing": 60.0, "cpu": 60.0, "sums": {"futex": 90.0}, **FEWER},
    ),
    (
        "lock contention",
        {"blocked": {SLEEP: 50.0}, "sums": {SLEEP: 100.0, "futex": 50.0}, **FEWER},
        {"blocked": {SLEEP: 100.0}, "sums": {SLEEP: 100.0, "futex": 190.0}, **SERIAL},
    ),
    ("competition for the CPU", {}, {"busy": 80.0}),
    (None, {}, {"busy": 80.0, "stolen": 70}),
    (None, {}, {"computing": 60.0, "busy": 80.0}),
    (None, {}, {"idle": 80.0}),
    (
        "more syncs",
        {"blocked": {"fsync": 10.0}, "calls": {"fsync": 10}},
        {"blocked": {"fsync": 60.0}, "calls": {"fsync": 58}},
    ),
    (
        None,
        {"blocked": {"fsync": 10.0}, "calls": {"fsync": 10}},
        {"blocked": {"fsync": 60.0}, "calls": {"fsync": 11}},
    ),
    ("more syncs", {}, {"blocked": {"fsync": 60.0}, "calls": {"fsync": 11}}),
    ("sleeping", {"blocked": {SLEEP: 10.0}}, {"blocked": {SLEEP: 60.0}}),
    ("sleeping", {}, {"blocked": {"nanosleep": 60.0}}),
    # a helper's ticks, while the others wait for something else
    (None, {}, {"blocked": {SLEEP: 60.0}, "sums": {SLEEP: 60.0, "recvfrom": 60.0}}),
    (None, {}, {"blocked": {"recvfrom": 60.0}}),
    (None, {}, {"blocked": {"futex": 60.0}}),
    (None, {}, {"blocked": {SLEEP: 20.0}, "computing": 40.0, "busy": 20.0}),
    (None, {}, {}),
]


@pytest.mark.parametrize(("name", "before", "after"), CASES)
def test_each_cause_and_its_absence_in_both_directions(
    name: str | None, before: dict[str, Any], after: dict[str, Any]
) -> None:
    forth, back = found(before, after), found(after, before)
    assert forth["name"] == back["name"] == name
    assert (forth["name"] is None) == bool(forth["why_none"])
    assert forth["part"] == back["part"]


def test_a_part_below_half_decides_nothing() -> None:
    assert found({}, {"blocked": {SLEEP: 26.0}, "busy": 25.0})["name"] == "sleeping"
    less = found({}, {"blocked": {SLEEP: 20.0}, "busy": 18.0, "idle": 15.0})
    assert (less["name"], less["why_none"]) == (None, "no large part")


def test_what_is_not_known_names_nothing() -> None:
    slept = {"blocked": {SLEEP: 60.0}}
    assert found({}, slept, pairs=5)["why_none"] == "too small", "there is no interval"
    assert found({"failing": True}, slept)["why_none"] == "too few budgets"
    # what has no row may have been blocked for as long
    assert found({"other": 5.0}, slept)["name"] is None
    assert found({}, {"computing": 60.0, "forks": None})["name"] is None
    assert found({}, {"computing": 60.0, "stolen": 0} | {"execs": None})["name"] is None
    synced = {"blocked": {"fsync": 60.0}}
    assert found({"calls": None}, {**synced, "calls": None})["name"] is None


def test_below_twice_the_detectable_there_is_none() -> None:
    small = found({"blocked": {SLEEP: 60.0}}, {"blocked": {SLEEP: 60.4}})
    assert (small["name"], small["why_none"]) == (None, "too small")
    assert small["detectable_ms"] > 0


@settings(max_examples=20)
@given(
    st.fixed_dictionaries({"computing": st.floats(1, 200), "busy": st.floats(0, 200)}),
    st.fixed_dictionaries({"computing": st.floats(1, 200), "busy": st.floats(0, 200)}),
    st.floats(0, 200),
)
def test_the_part_never_exceeds_the_difference(
    before: dict[str, Any], after: dict[str, Any], slept: float
) -> None:
    after = {**after, "blocked": {SLEEP: slept}}
    forth, back = found(before, after), found(after, before)
    for one in (forth, back):
        part = one["part_ms"] or 0.0
        assert 0 <= part <= abs(one["difference_ms"]["middle"])
    # jitter is another one the other way round: only what is found both times must be alike
    if forth["name"] and back["name"]:
        assert forth["name"] == back["name"]


def test_the_words() -> None:
    forth = found({}, {"computing": 60.0})
    said = words({"cause": forth})
    assert said.startswith(": 40.0")
    assert "by more computing (computing; CPU time 20.0" in said
    back = words({"cause": found({"computing": 60.0}, {})})
    assert "by less computing (computing; CPU time 60.0" in back
    assert "; no cause found: " in words({"cause": found({}, {})})
    assert "is less than twice" in words({"cause": found({}, {})})
    unknown = words({"cause": found({}, {"blocked": {"recvfrom": 60.0}})})
    assert "blocked in recvfrom, and no known cause fits" in unknown
    assert words({}) == ""
