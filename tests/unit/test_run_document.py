"""What the runs of a series say together: made-up runs, of which all is known."""

import json
import math
from typing import Any

import numpy as np
import pytest
from fakes.sample_evidence import evidence, latency
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.comparison.families import MOST_TESTED
from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.plan import BASELINE, COMMAND, OPTIMIZED, Plan
from agent.run.runs import End, Run

ALONE = Plan({COMMAND: ["a"]}, most=10, seed=1)
PAIRS = Plan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=10, seed=1)


def run(side: str, number: int, ms: float, whole: Any = None, status: int = 0, **took: Any) -> Run:
    command = {"exit_status": status, "user_ms": 1.0, "system_ms": 0.0, **took}
    ended = Ended(status, ms / 1e3, 0.001, 0.0, None, 1, 0, 0)
    return Run(side, number, True, ended, command, whole if whole is not None else evidence())


def reasons(**ms: float) -> dict[str, Any]:
    """Return evidence of a run that was blocked for these reasons, and for no others."""
    rows = [{"reason": name, "ms": value} for name, value in ms.items()]
    other = {"ms": 0.0, "count": 0}
    return evidence(offcpu={"total_ms": sum(ms.values()), "top_reasons": rows, "other": other})


def noise(number: int) -> float:
    """Return something near 0 that has no trend."""
    return [0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.15, -0.25, 0.05, -0.05][number % 10]


def alone(*wholes: Any, times: Any = None) -> dict[str, Any]:
    """Return what is said of the only command's runs."""
    runs = [run(COMMAND, n, times[n] if times else 100, one) for n, one in enumerate(wholes)]
    side: dict[str, Any] = document_of(ALONE, runs, End("runs"))["sides"][COMMAND]
    return side


def compared(
    before: Any = None, after: Any = None, ms: tuple[float, float] = (100, 100), pairs: int = 10
) -> dict[str, Any]:
    runs = []
    for n in range(pairs):
        for side, whole, mean in ((BASELINE, before, ms[0]), (OPTIMIZED, after, ms[1])):
            made = whole(n) if callable(whole) else whole
            runs.append(run(side, n, mean + noise(n + len(side)), made))
    document = document_of(PAIRS, runs, End("runs"))
    json.dumps(document, allow_nan=False)
    comparison: dict[str, Any] = document["comparison"]
    return comparison


def figure(of: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in of["figures"] if one["name"] == name]
    return dict(found)


# --- one side


def test_the_times_of_the_runs() -> None:
    times = [100.0, 101, 102, 103, 104, 180]
    wall = alone(*[evidence()] * 6, times=times)["wall_ms"]
    assert wall["median"] == {"low": 100, "middle": 102.5, "high": 180}
    assert wall["mean"] == pytest.approx(115)
    assert wall["deviation"] == pytest.approx(np.std(times, ddof=1))
    [outlier] = wall["outliers"]
    assert (outlier["round"], outlier["ms"]) == (6, pytest.approx(180))
    assert outlier["excess_ms"] == pytest.approx(180 - 102)


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


# --- two sides


def test_a_difference_of_times() -> None:
    found = compared(ms=(100, 80))
    assert found["outcome"] == "smaller"
    assert found["change_pct"]["middle"] == pytest.approx(-20, abs=0.5)
    assert found["gain_pct"]["middle"] == pytest.approx(20, abs=0.5)
    assert found["p"] == pytest.approx(2 / 2**10), "all ten pairs point the same way"
    assert found["baseline_first"] == 10
    assert compared(ms=(80, 100))["outcome"] == "larger"


def test_runs_that_are_alike_are_different_runs() -> None:
    runs = [run(side, n, 100) for n in range(6) for side in (OPTIMIZED, BASELINE)]
    found = document_of(PAIRS, runs, End("runs"))["comparison"]
    assert (found["pairs"], found["baseline_first"]) == (6, 0)
    assert (found["outcome"], found["p"]) == ("undecided", 1)
    assert found["gain_pct"]["method"] == "percentile"


def test_no_difference_says_what_would_have_been_found() -> None:
    found = compared()
    assert found["outcome"] == "undecided"
    assert 0 < found["detectable_pct"] < 2


def test_too_few_pairs_decide_nothing() -> None:
    found = compared(ms=(100, 50), pairs=5)
    assert (found["outcome"], found["detectable_pct"]) == ("too few", None)
    assert found["gain_pct"]["method"] == "none"
    assert {one["outcome"] for one in found["figures"]} == {"too few"}


def test_among_many_figures_few_pairs_decide_nothing() -> None:
    """Six pairs reach p=0.03, which is too much for one of eight."""

    def of(pairs: int) -> Any:
        before = {f"call_{n}": 20.0 for n in range(6)}
        return compared(
            lambda n: reasons(**before, sleep=5 + noise(n)),
            lambda n: reasons(**before, sleep=30 + noise(n + 3)),
            pairs=pairs,
        )

    sleep = figure(of(6), "blocked: sleep")
    assert (sleep["outcome"], sleep["detectable"]) == ("too few", None)
    assert sleep["p"] < 0.05 < sleep["adjusted_p"]
    assert sleep["difference"]["low"] > 24
    needed = sleep["pairs_needed"]
    assert figure(of(needed), "blocked: sleep")["outcome"] == "larger"
    assert "undecided" not in {one["outcome"] for one in of(6)["figures"]}


def test_what_would_have_been_found_is_what_so_many_figures_leave() -> None:
    """Among others, a difference has to be larger to be found than by itself."""
    noise = np.random.default_rng(1).normal(size=(2, 20))

    def blocked_only(**ms: float) -> Any:
        measured = ("available", "completeness", "offcpu")
        return {name: value for name, value in reasons(**ms).items() if name in measured}

    def of(figures: int) -> float:
        others = {f"call_{n}": 20.0 for n in range(figures)}
        sides = [lambda n, ms=ms: blocked_only(**others, read=25 + ms[n]) for ms in noise]
        found = figure(compared(*sides, pairs=20), "blocked: read")
        assert found["outcome"] == "undecided"
        return float(found["detectable"])

    assert of(0) < of(15)


def test_more_calls_of_any_kind_are_a_figure() -> None:
    def calling(getppid: int) -> Any:
        return evidence(syscall_counts={"read": 7, "all": {"read": 7, "getppid": getppid}})

    found = compared(calling(10), calling(200_000))
    assert figure(found, "calls")["difference"]["middle"] == 199_990
    assert figure(found, "calls: getppid")["outcome"] == "larger"
    never = compared(evidence(syscall_counts={"all": {"read": 7}}), calling(5))
    assert figure(never, "calls: getppid")["baseline"] == 0, "all calls are listed"


def test_calls_that_are_not_all_known_have_no_sum() -> None:
    unknown = evidence(syscall_counts={"read": 7, "all": {"read": 7, "getppid": None}})
    names = [one["name"] for one in alone(unknown)["figures"]]
    assert "calls: read" in names
    assert "calls" not in names


def test_of_the_other_calls_those_made_most_are_figures() -> None:
    many = evidence(syscall_counts={"read": 1, "all": {"read": 1, "a": 9, "b": 8, "c": 7, "d": 6}})
    names = [one["name"] for one in alone(many)["figures"] if one["name"].startswith("calls")]
    assert names == ["calls", "calls: a", "calls: b", "calls: c", "calls: read"]


def test_an_incomplete_pair_does_not_count() -> None:
    runs = [run(BASELINE, 0, 100), run(OPTIMIZED, 0, 100), run(BASELINE, 1, 500)]
    document = document_of(PAIRS, runs, End("failure", "it failed"))
    assert document["comparison"]["pairs"] == 1
    assert document["comparison"]["baseline_ms"]["middle"] == 100
    assert document["sides"][BASELINE]["runs"] == 2


def test_figures_that_differ_are_found_among_those_that_do_not() -> None:
    found = compared(
        lambda n: reasons(fsync=30 + noise(n), read=20 + noise(n + 3)),
        lambda n: reasons(fsync=5 + noise(n + 5), read=20 + noise(n + 7)),
        ms=(100, 75),
    )
    fsync = figure(found, "blocked: fsync")
    assert fsync["outcome"] == "smaller"
    assert fsync["difference"]["middle"] == pytest.approx(-25, abs=0.5)
    assert fsync["adjusted_p"] >= fsync["p"]
    read = figure(found, "blocked: read")
    assert read["outcome"] == "undecided"
    assert read["detectable"] > 0


def test_what_occurs_on_one_side_only_is_an_appearance() -> None:
    found = compared(lambda _: reasons(read=20), lambda n: reasons(read=20, futex=30 + noise(n)))
    futex = figure(found, "blocked: futex")
    assert futex["occurs_in"] == [0, 10]
    assert futex["outcome"] == "larger"


def test_a_difference_below_the_smallest_that_matters_is_none() -> None:
    found = compared(lambda n: reasons(read=20), lambda n: reasons(read=20.2))
    assert figure(found, "blocked: read")["outcome"] == "too small", "0.2 of 100 ms"


def test_of_very_many_figures_only_the_largest_are_tested() -> None:
    """By their size on both sides together, which says nothing of a difference."""
    many = reasons(**{f"call_{n}": 100.0 - n for n in range(40)})
    found = compared(many, many)
    assert len(found["figures"]) == MOST_TESTED
    assert "blocked: call_0" in [one["name"] for one in found["figures"]]
    assert "blocked: call_39" in found["not_tested"]


def test_states_of_the_budget_are_a_family_of_their_own() -> None:
    def budget(computing: float) -> Any:
        return lambda n: evidence(
            wall={"states": {"computing": {"ms": computing + noise(n)}, "blocked": {"ms": 30}}}
        )

    found = compared(budget(70), budget(50), ms=(100, 80))
    assert [one["name"] for one in found["figures"]][:2] == ["wall: computing", "wall: blocked"]
    assert len(found["figures"]) <= 2 + MOST_TESTED
    computing = figure(found, "wall: computing")
    assert computing["outcome"] == "smaller"
    assert math.isclose(computing["difference"]["middle"], -20, abs_tol=0.5)


@settings(max_examples=15)
@given(st.data())
def test_evidence_of_another_version_does_not_cost_the_result(data: st.DataObject) -> None:
    whole = evidence(wall={"states": {"computing": {"ms": 1.0}}})
    spoiled = {name: spoil(data, value) for name, value in whole.items()}
    runs = [run(side, n, 100, spoiled) for n in range(6) for side in (BASELINE, OPTIMIZED)]
    document = document_of(PAIRS, runs, End("runs"))
    assert document["comparison"]["pairs"] == 6


def spoil(data: st.DataObject, value: Any) -> Any:
    """Return a document some values of which are something else."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(st.sampled_from([None, True, "x", -1, 1e308, [], {}, [1], {"ms": "x"}]))
    if isinstance(value, dict):
        return {name: spoil(data, inner) for name, inner in value.items()}
    return [spoil(data, inner) for inner in value] if isinstance(value, list) else value


def test_without_a_complete_run_nothing_is_said() -> None:
    document = document_of(PAIRS, [], End("failure", "it failed"))
    assert document["sides"] == {}
    assert "comparison" not in document
