"""What the runs of a series say of one command: made-up runs, of which all is known."""

from typing import Any

import numpy as np
import pytest
from fakes.made_up_runs import alone, figure, noise, reasons
from fakes.sample_evidence import evidence, latency


def test_the_times_of_the_runs() -> None:
    times = [100.0, 101, 102, 103, 104, 180]
    wall = alone(*[evidence()] * 6, times=times)["wall_ms"]
    assert wall["median"] == {"low": 100, "middle": 102.5, "high": 180}
    assert wall["mean"] == pytest.approx(115)
    assert wall["deviation"] == pytest.approx(np.std(times, ddof=1))
    [outlier] = wall["outliers"]
    assert (outlier["round"], outlier["ms"]) == (6, pytest.approx(180))
    assert outlier["excess_ms"] == pytest.approx(180 - 102)


@pytest.mark.parametrize("place", range(6))
def test_a_slow_run_is_held_against_the_others(place: int) -> None:
    times = [100.0, 101, 102, 104, 105]
    times.insert(place, 180)
    [outlier] = alone(*[evidence()] * 6, times=times)["wall_ms"]["outliers"]
    assert outlier["round"] == place + 1
    assert outlier["excess_ms"] == pytest.approx(180 - 102)


@pytest.mark.parametrize(("ordinary", "explained"), [(5, True), (4, False)])
def test_runs_that_are_slow_for_one_reason_are_held_against_the_ordinary(
    ordinary: int, explained: bool
) -> None:
    quick, slow, slower = (reasons(read=ms) for ms in (5.0, 80.0, 90.0))
    times = [100 + noise(n) for n in range(ordinary)]
    wall = alone(*[quick] * ordinary, slow, slower, times=[*times, 180, 190])["wall_ms"]
    first, second = wall["outliers"]
    assert [one["name"] for one in second["beyond"]] == ["blocked: read"]
    assert [one["name"] for one in first["beyond"]] == ["blocked: read"] * explained


def test_too_few_runs_have_no_interval() -> None:
    wall = alone(*[evidence()] * 5)["wall_ms"]
    assert wall["median"] == {"low": None, "middle": 100, "high": None}


def test_figures_are_sums_of_each_run() -> None:
    side = alone(*[evidence()] * 6)
    assert figure(side, "waiting for a CPU")["median"]["middle"] == pytest.approx(12655 * 3.6 / 1e3)
    assert figure(side, "blocked: futex")["median"] == {"low": 450, "middle": 450, "high": 450}
    assert figure(side, "calls: openat")["unit"] == "count"
    assert "system CPU" not in [one["name"] for one in side["figures"]], "0 throughout"


def test_a_reason_that_is_not_listed_is_0_only_if_all_are_listed() -> None:
    """Evidence lists the ten longest: what is not among them may have taken some time."""
    listed, not_listed = reasons(futex=5.0), reasons(read=5.0)
    assert figure(alone(listed, not_listed), "blocked: futex")["lowest"] == 0
    not_listed["offcpu"]["other"] = {"ms": 0.5, "count": 3}
    found = figure(alone(listed, not_listed), "blocked: futex")
    assert (found["runs"], found["lowest"]) == (1, 5)


@pytest.mark.parametrize(
    "unusable",
    [
        {"available": False, "reason": "no agent"},
        evidence(completeness={"verdict": "invalid", "reasons": ["events_ceased"]}),
    ],
)
def test_what_cannot_be_trusted_is_in_no_figure(unusable: dict[str, Any]) -> None:
    side = alone(evidence(), unusable)
    assert figure(side, "blocked")["runs"] == 1
    assert figure(side, "user CPU")["runs"] == 2, "is not the agent's"
    assert sum(side["verdicts"].values()) == 2


def test_a_budget_is_used_where_there_is_one() -> None:
    with_budget = evidence(wall={"states": {"computing": {"ms": 60}, "blocked": {"ms": 40}}})
    with_budget["wall"]["states"]["stopped"] = {"ms": 0}
    side = alone(with_budget, with_budget)
    assert "wall: stopped" not in [one["name"] for one in side["figures"]], "0 throughout"
    assert figure(side, "wall: computing")["median"]["middle"] == 60
    assert not [f for f in alone(evidence())["figures"] if f["name"].startswith("wall: ")]


def test_histograms_are_added_bucket_by_bucket_where_all_runs_have_one() -> None:
    one = evidence(runqlat=latency(histogram=[{"bucket_us": 1, "count": 5}]))
    two = evidence(
        runqlat=latency(histogram=[{"bucket_us": 0, "count": 1}, {"bucket_us": 1, "count": 2}])
    )
    del two["biolatency"]
    merged = alone(one, two)["histograms"]
    assert merged == {"runqlat": [{"bucket_us": 0, "count": 1}, {"bucket_us": 1, "count": 7}]}


def test_a_slow_run_is_explained_by_what_it_has_and_the_others_lack() -> None:
    times = [100.0, 101, 102, 101, 100, 152]
    usual = [reasons(read=30 + noise(n), futex=0.1) for n in range(5)]
    slow = reasons(read=30, futex=45.0, fsync=1.0)
    [outlier] = alone(*usual, slow, times=times)["wall_ms"]["outliers"]
    assert outlier["beyond"] == [{"name": "blocked: futex", "more_ms": pytest.approx(44.9)}]


def budgeted(busy: float = 1.0, had: str = "make", **parts: Any) -> dict[str, Any]:
    """Return evidence with a budget: 100 ms of computing, and waits for a CPU of another command.

    ``parts``: ``fsync`` in ms, ``throttled_ms``, ``stolen_ms``.
    """
    fsync = parts.get("fsync", 1.0)
    wall = {
        "available": True,
        "ended": "exit",
        "wall_ms": 100.0 + busy + fsync,
        "states": {"computing": {"ms": 100.0}},
        "for_busy_cpu_ms": busy,
        "for_idle_cpu_ms": 0.0,
        "for_busy_cpu_of": [{"command": had, "ms": busy}],
        "blocked_until": [{"reason": "fsync", "command": "dd", "ms": fsync}],
        "blocked_other_ms": 0.0,
        "throttled_ms": parts.get("throttled_ms", 0.0),
    }
    return evidence(wall=wall, stolen_ms=parts.get("stolen_ms", 0.0), checks=[])


SLOW = [100.0, 101, 102, 101, 100, 184]


def outlier(*wholes: Any) -> dict[str, Any]:
    [found] = alone(*wholes, times=SLOW)["wall_ms"]["outliers"]
    return dict(found)


def test_a_slow_run_is_explained_by_the_parts_of_its_wall_time() -> None:
    usual = [budgeted(1 + noise(n)) for n in range(5)]
    found = outlier(*usual, budgeted(81.0, "apt", stolen_ms=40.0, throttled_ms=30.0))
    assert found["parts"] == [
        {"name": "for a busy CPU", "more_ms": pytest.approx(80, abs=0.5), "command": "apt"}
    ]
    assert (found["throttled_ms"], found["stolen_ms"]) == (30, 40)
    found = outlier(*usual, budgeted(fsync=60.0, stolen_ms=10.0))
    assert found["parts"] == [{"name": "blocked: fsync", "more_ms": 59, "command": "dd"}]
    assert found["stolen_ms"] is None, "too little to matter"


def test_what_a_slow_run_took_outside_of_its_wall_time_is_known() -> None:
    usual = [budgeted(1 + noise(n)) for n in range(5)]
    found = outlier(*usual, budgeted())
    assert (found["parts"], found["undivided_ms"]) == ([], pytest.approx(83, abs=1.5))
    assert outlier(*usual, budgeted(81.0))["undivided_ms"] is None, "too little to matter"
    assert outlier(*usual, evidence())["undivided_ms"] is None, "not known"


def test_a_command_is_named_only_for_what_is_mostly_its_own() -> None:
    several = budgeted(81.0)
    rows = [{"command": f"c{n}", "ms": 27.0} for n in range(3)]
    several["wall"]["for_busy_cpu_of"] = rows
    usual = [budgeted() for _ in range(5)]
    assert outlier(*usual, several)["parts"][0]["command"] is None
    del several["wall"]["for_busy_cpu_of"]  # as in evidence of earlier agents
    assert outlier(*usual, several)["parts"][0]["command"] is None


def test_without_a_budget_to_rely_on_no_part_is_named() -> None:
    usual = [budgeted() for _ in range(5)]
    assert outlier(*usual, reasons(read=30))["parts"] is None
    assert outlier(*usual[:4], reasons(read=30), budgeted(81.0))["parts"] is None
    stolen = [evidence(stolen_ms=None)] * 5
    assert outlier(*stolen, evidence(stolen_ms=80.0))["stolen_ms"] is None, "of others not known"


def test_a_slow_run_that_nothing_explains_is_not_explained() -> None:
    times = [100.0, 101, 102, 101, 100, 152]
    [outlier] = alone(*[reasons(read=30)] * 6, times=times)["wall_ms"]["outliers"]
    assert outlier["beyond"] == []
    unseen = {"available": False, "reason": "no agent"}
    [outlier] = alone(*[reasons(read=30)] * 5, unseen, times=times)["wall_ms"]["outliers"]
    assert outlier["beyond"] is None, "which is not the same as nothing"


def test_among_few_runs_none_is_explained() -> None:
    slow = reasons(read=30, futex=45.0)
    side = alone(*[reasons(read=30)] * 4, slow, times=[100.0, 101, 102, 101, 152])
    assert side["wall_ms"]["outliers"][0]["beyond"] is None


def test_a_time_that_is_not_known_in_every_run_explains_nothing() -> None:
    times = [100.0, 101, 102, 101, 100, 152]
    usual = [reasons(read=30) for n in range(5)]
    usual[0]["offcpu"]["other"] = {"ms": 3.0, "count": 4}
    [outlier] = alone(*usual, reasons(read=30, futex=45.0), times=times)["wall_ms"]["outliers"]
    assert outlier["beyond"] == []


def test_drift_is_told_if_it_is_certain_and_matters() -> None:
    def drifting(by: float) -> Any:
        times = [100 + by * n + noise(n) for n in range(10)]
        return alone(*[evidence()] * 10, times=times)["wall_ms"]["drift"]

    assert drifting(1.0)["is_certain"]
    assert drifting(1.0)["ms_per_run"]["middle"] == pytest.approx(1.0, abs=0.1)
    assert not drifting(0.0)["is_certain"]
    assert not drifting(0.08)["is_certain"], "less than 1 % over all runs"


@pytest.mark.parametrize(
    ("first", "differs"), [(103.0, True), (97.0, True), (100.9, False), (100.2, False)]
)
def test_a_first_run_unlike_the_others_is_told(first: float, differs: bool) -> None:
    rest = [100 + noise(n) for n in range(9)]
    found = alone(*[evidence()] * 10, times=[first, *rest])["wall_ms"]
    assert found["drift"]["first_differs"] is differs
    late = alone(*[evidence()] * 10, times=[*rest, first])["wall_ms"]
    assert late["drift"]["first_differs"] is False, "it is the last"
    few = alone(*[evidence()] * 6, times=[first, *rest[:5]])["wall_ms"]
    assert few["drift"]["first_differs"] is False, "among few, that is chance"
