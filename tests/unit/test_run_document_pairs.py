"""What the runs of a series say of two commands: made-up runs, of which all is known."""

import math
from typing import Any

import numpy as np
import pytest
from fakes.made_up_runs import PAIRS, alone, compared, figure, noise, reasons, run
from fakes.sample_evidence import evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.comparison.families import MOST_TESTED
from agent.run.document import document_of
from agent.run.runs import End
from agent.run.series_plan import BASELINE, OPTIMIZED


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


def test_without_evidence_no_cause_is_found_for_the_reason_that_there_is_none() -> None:
    refused = {"available": False, "reason": "CAP_BPF is missing"}
    cause = compared(refused, refused, ms=(100, 200))["cause"]
    assert (cause["why_none"], cause["budgets"]) == ("too few budgets", [0, 0])
    assert cause["reason"] == "nothing was measured: CAP_BPF is missing"
    undivided = {"available": True, "wall": {"available": False, "reason": "the kernel is old"}}
    assert compared(undivided, refused, ms=(100, 200))["cause"]["reason"] is None, "half of each"
    mostly = compared(undivided, lambda n: undivided if n else refused, ms=(100, 200))["cause"]
    assert mostly["reason"] == "the wall time was not divided: the kernel is old"
    assert compared({}, {}, ms=(100, 200))["cause"]["reason"] is None


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
