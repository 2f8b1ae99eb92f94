"""Two groups of kept runs, compared: made-up runs, of which all is known."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.kept_groups import group, in_turn, kept, noise
from fakes.sample_evidence import evidence, latency
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.histogram import LatencyHistogram
from agent.comparison.comparable import NotComparable
from agent.comparison.equals import compare_equals
from agent.comparison.kept import Asked, compare_groups
from agent.show.text import render

TEN = range(10)


def times(mean: float, size: int = 10, trend: float = 0.0, shifted: int = 0) -> list[float]:
    return [mean + noise(n + shifted) + trend * n for n in range(size)]


def compared(before: Any, after: Any, **asked: Any) -> dict[str, Any]:
    document = compare_groups(before, after, Asked(**asked))
    json.dumps(document, allow_nan=False)
    return document


def blocks(before: list[float], after: list[float], **changes: Any) -> tuple[Any, Any]:
    """Return two groups, one of which was run after the other."""
    return group(*before, **changes), group(*after, first=len(before), **changes)


def taking_turns(before: list[float], after: list[float], **changes: Any) -> tuple[Any, Any]:
    return group(*before, step=2, **changes), group(*after, first=1, step=2, **changes)


def reasons(**ms: float) -> dict[str, Any]:
    """Return evidence of a run that was blocked for these reasons, and for no others."""
    rows = [{"reason": name, "ms": value} for name, value in ms.items()]
    return evidence(
        offcpu={"total_ms": sum(ms.values()), "top_reasons": rows, "other": {"ms": 0, "count": 0}}
    )


def named(listed: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [one for one in listed if one["name"] == name]
    return found


# --- pairs or groups


def test_the_rounds_of_one_series_are_pairs() -> None:
    document = compared(*in_turn(times(100), times(80)))
    found = document["comparison"]
    assert (found["method"], found["pairs"], found["baseline_first"]) == ("pairs", 10, 10)
    assert document["compared"]["why_no_pairs"] is None
    assert (found["outcome"], found["conclusive"]) == ("smaller", True)
    assert found["p"] == pytest.approx(2 / 2**10)
    assert found["sign_p"] == found["p"]


def test_pairs_may_be_compared_the_other_way_round() -> None:
    before, after = in_turn(times(100), times(80))
    found = compared(after, before)["comparison"]
    assert (found["method"], found["outcome"], found["baseline_first"]) == ("pairs", "larger", 0)


def test_runs_of_no_series_are_groups() -> None:
    document = compared(*blocks(times(100), times(80)))
    found = document["comparison"]
    assert (found["method"], found["pairs"], found["sign_p"]) == ("groups", None, None)
    assert document["compared"]["why_no_pairs"] == "they are not of one series"
    assert found["runs"] == {"baseline": 10, "optimized": 10}
    assert found["p"] == pytest.approx(2 / 184756), "all runs of one are faster"


def test_sequential_blocks_are_no_pairs_whatever_their_rounds() -> None:
    """Files can say anything: what was run first and what after tells."""
    before, after = in_turn(times(100), times(80))
    late = [kept(20 + n, run.wall_ms, series="series-1", side="optimized", round=n)
            for n, run in enumerate(after)]  # fmt: skip
    early = [kept(n, run.wall_ms, series="series-1", side="baseline", round=n)
             for n, run in enumerate(before)]  # fmt: skip
    document = compared(early, late)
    assert document["comparison"]["method"] == "groups"
    assert "not made in turn" in document["compared"]["why_no_pairs"]
    assert document["comparison"]["order"] == "sequential"
    assert any("one side was run after the other" in note for note in document["compared"]["notes"])


def test_two_series_are_no_pairs() -> None:
    before = [kept(n, 100, series="a", side="baseline", round=n) for n in TEN]
    after = [kept(n + 10, 90, series="b", side="optimized", round=n) for n in TEN]
    assert compared(before, after)["comparison"]["method"] == "groups"
    same_side = [kept(n + 10, 90, series="a", side="baseline", round=n) for n in TEN]
    why = compared(before, same_side)["compared"]["why_no_pairs"]
    assert why == "they are not the two sides of one series"


def test_a_round_without_its_other_run_is_left_out_of_the_pairs_and_named() -> None:
    before, after = in_turn(times(100), times(80))
    document = compared(before, after[:9])
    assert document["comparison"]["pairs"] == 9
    [left] = document["compared"]["left_out"]
    assert left == {
        "id": "run-18",
        "side": "baseline",
        "why": "the other run of its round is missing",
    }


def test_runs_that_failed_are_left_out_and_named() -> None:
    before, after = blocks(times(100), times(80))
    document = compared([*before, kept(30, 1.0, counts=False)], after)
    assert document["comparison"]["runs"]["baseline"] == 10
    assert [one["why"] for one in document["compared"]["left_out"]] == [
        "it failed or was interrupted"
    ]
    with pytest.raises(NotComparable, match=r"no run of optimized counts: all 1 failed"):
        compared(before, [kept(30, 1.0, counts=False)])


# --- what is decided


def test_no_difference_says_what_would_have_been_found() -> None:
    found = compared(*taking_turns(times(100), times(100, shifted=3)))["comparison"]
    assert (found["outcome"], found["conclusive"]) == ("undecided", False)
    assert found["inconclusive_because"] == ["noise"]
    assert 0 < found["detectable_pct"] < 2


def test_a_difference_that_does_not_matter() -> None:
    found = compared(*taking_turns(times(100), times(100.8)))["comparison"]
    assert (found["outcome"], found["inconclusive_because"]) == (
        "too small",
        ["within min_effect"],
    )
    found = compared(*taking_turns(times(100), times(100.8)), min_effect=0.005)["comparison"]
    assert found["outcome"] == "larger"


@pytest.mark.parametrize("sizes", [(5, 5), (5, 20), (20, 5)])
def test_fewer_than_six_on_a_side_decide_nothing(sizes: tuple[int, int]) -> None:
    before, after = sizes
    found = compared(*taking_turns(times(100, before), times(50, after)))["comparison"]
    assert (found["outcome"], found["inconclusive_because"]) == ("too few", ["too few runs"])
    assert found["change_pct"]["low"] is None
    assert found["change_pct"]["middle"] == pytest.approx(-50, abs=1), "the value is there"
    assert {one["outcome"] for one in found["figures"]} == {"too few"}


def test_groups_of_different_sizes() -> None:
    found = compared(*taking_turns(times(100, 8), times(80, 15)))["comparison"]
    assert found["outcome"] == "smaller"
    assert found["gain_pct"]["middle"] == pytest.approx(20, abs=0.5)
    assert found["gain_pct"]["method"] == "BCa"
    assert found["figures"][0]["runs"] == [8, 15]
    assert found["figures"][0]["runs_needed"] == 6


# --- in which order


def test_what_one_block_after_the_other_shows_depends_on_what_else_changed() -> None:
    found = compared(*blocks(times(100), times(80)))["comparison"]
    assert found["conclusive"]
    assert found["conclusive_if"] == (
        "nothing but what is compared changed between the two blocks of runs"
    )
    for alternate in (taking_turns, in_turn):
        assert compared(*alternate(times(100), times(80)))["comparison"]["conclusive_if"] is None
    equal = compared(*blocks(times(100), times(100, shifted=3)))["comparison"]
    assert equal["conclusive_if"] is None, "nothing is found"


def block(name: str, ms: list[float], at: list[float], first: int) -> list[Any]:
    runs = zip(ms, at, strict=True)
    return [
        kept(first + n, one, at=when, series=name, side="command", round=n)
        for n, (one, when) in enumerate(runs)
    ]


def test_a_clock_that_was_set_back_makes_the_order_unknown() -> None:
    """The machine slows down throughout; the last runs of a block have times an hour earlier."""
    hour, slower = 3600.0, [100.0 + n for n in range(30)]
    back = [n - hour if n >= 8 else float(n) for n in range(15)]
    after = block("b", slower[15:], [float(n) for n in range(15, 30)], 15)
    right = compared(block("a", slower[:15], [float(n) for n in range(15)], 0), after)
    assert right["comparison"]["outcome"] == "drift"
    document = compared(block("a", slower[:15], back, 0), after)
    found = document["comparison"]
    assert (found["order"], found["drift"]) == ("unknown", None)
    assert found["conclusive_if"] == (
        "nothing but what is compared changed while the runs were made"
    )
    assert any("the clock was set back" in note for note in document["compared"]["notes"])
    assert not any("is not known, so no drift" in note for note in document["compared"]["notes"])


# --- drift


def test_a_difference_that_a_drift_may_have_made_is_not_decided() -> None:
    """The machine slows down throughout: the second block is slower, whatever it is."""
    found = compared(*blocks(times(100, trend=1), times(110, trend=1)))["comparison"]
    assert (found["outcome"], found["conclusive"]) == ("drift", False)
    assert found["inconclusive_because"] == ["drift"]
    drift = found["drift"]
    assert drift["is_certain"]
    assert drift["pct_per_run"]["middle"] == pytest.approx(1, abs=0.2)
    assert 8 < drift["in_difference_pct"]["low"] < drift["in_difference_pct"]["high"] < 12


def test_a_drift_that_is_too_small_to_make_the_difference_does_not_hide_it() -> None:
    found = compared(*blocks(times(100, trend=0.2), times(150, trend=0.2)))["comparison"]
    assert (found["outcome"], found["drift"]["is_certain"]) == ("larger", True)
    found = compared(*blocks(times(100, trend=1), times(80, trend=1)))["comparison"]
    assert found["outcome"] == "smaller", "in spite of the drift"


def test_runs_that_took_turns_share_a_drift() -> None:
    drifting = times(100, trend=1), times(120, trend=1)
    for found in (
        compared(*taking_turns(*drifting))["comparison"],
        compared(*in_turn(*drifting))["comparison"],
    ):
        assert (found["outcome"], found["order"]) == ("larger", "interleaved")
        assert found["drift"]["is_certain"]


@pytest.mark.parametrize("alternate", [taking_turns, in_turn])
def test_load_in_the_second_half_of_equals_is_a_drift_and_no_difference(alternate: Any) -> None:
    loaded = [*times(100, 10), *times(140, 10)]
    document = compared(*alternate(loaded, [ms + noise(n + 4) for n, ms in enumerate(loaded)]))
    found = document["comparison"]
    assert (found["outcome"], found["conclusive"]) == ("undecided", False)
    assert found["inconclusive_because"] == ["noise", "drift"]
    assert found["drift"]["is_certain"]
    for side in document["sides"].values():
        assert side["wall_ms"]["drift"]["is_certain"]
        assert side["wall_ms"]["drift"]["first_ms"] < side["wall_ms"]["drift"]["rest_median_ms"]


def test_where_the_order_is_not_known_no_drift_is_seen_and_that_is_said() -> None:
    before, after = blocks(times(100, trend=1), times(110, trend=1))
    document = compared(before, [*after[:9], kept(19, 119.0, started_at="")])
    assert document["comparison"]["order"] == "unknown"
    assert document["comparison"]["drift"] is None
    assert document["sides"]["baseline"]["wall_ms"]["drift"] is None
    assert any("no drift can be seen" in note for note in document["compared"]["notes"])


def test_runs_are_in_the_order_of_their_times_not_of_the_arguments() -> None:
    before, after = blocks(times(100, trend=1), times(80))
    found = compared(before[::-1], after)
    assert found["sides"]["baseline"]["wall_ms"]["drift"]["ms_per_run"]["middle"] > 0
    assert [run["side"] for run in found["runs"]] == ["baseline"] * 10 + ["optimized"] * 10


# --- what is compared


def test_figures_that_differ_are_found_among_those_that_do_not() -> None:
    before = [kept(2 * n, 100, evidence=reasons(fsync=30 + noise(n), read=20)) for n in TEN]
    after = [kept(2 * n + 1, 75, evidence=reasons(fsync=5 + noise(n), read=20)) for n in TEN]
    found = compared(before, after)["comparison"]
    fsync = named(found["figures"], "blocked: fsync")
    assert (fsync["outcome"], fsync["kind"], fsync["pairs"]) == ("smaller", "time", None)
    assert fsync["difference"]["middle"] == pytest.approx(-25, abs=0.5)
    assert fsync["adjusted_p"] > fsync["p"]
    assert named(found["figures"], "blocked: read")["outcome"] == "undecided"
    changed = named(found["changed"], "blocked: fsync")
    assert (changed["direction"], changed["wall_ms"]) == ("shrank", None), "there is no budget"


def test_what_appears_or_vanishes_is_no_ratio() -> None:
    before = [kept(2 * n, 100, evidence=reasons(read=20, poll=3 * (n > 6))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=reasons(read=20, futex=30 + noise(n))) for n in TEN]
    found = compared(before, after)["comparison"]
    assert [(one["name"], one["occurs_in"], one["runs"]) for one in found["appeared"]] == [
        ("blocked: futex", [0, 10], [10, 10])
    ]
    [vanished] = found["vanished"]
    assert (vanished["name"], vanished["occurs_in"]) == ("blocked: poll", [3, 0])


def test_what_is_known_of_one_side_only_is_named() -> None:
    without = evidence()
    del without["exec"]
    before, after = group(*times(100)), group(*times(100), first=10, evidence=without)
    found = compared(before, after)["comparison"]
    assert {"name": "execs", "side": "baseline"} in found["on_one_side_only"]
    assert "execs" not in [one["name"] for one in found["figures"]]


def waits(us: float, count: int = 1000) -> dict[str, Any]:
    """Return a section of waits for a CPU of about this length."""
    histogram = LatencyHistogram()
    random = np.random.default_rng(int(us))
    histogram.fold((us * 1000 * random.lognormal(0, 0.5, count)).astype(np.int64))
    return latency(**histogram.summary(), hdr=histogram.encode())


def test_distributions_differ_quantile_by_quantile() -> None:
    before = [kept(2 * n, 100, evidence=evidence(runqlat=waits(10 + n / 10))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=evidence(runqlat=waits(20 + n / 10))) for n in TEN]
    rows = compared(before, after)["comparison"]["shift"]["runqlat"]
    quantiles = [row["quantile"] for row in rows]
    assert quantiles == [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999], "1000 samples have no more"
    for row in rows:
        assert row["difference_us"]["low"] > 0
        assert row["runs"] == [10, 10]
    median = rows[2]
    assert median["difference_us"]["middle"] == pytest.approx(10, abs=1)
    assert rows[-1]["difference_us"]["middle"] > 2 * median["difference_us"]["middle"]
    assert median["change_pct"]["middle"] == pytest.approx(100, abs=10)


def test_no_quantile_shrinks_by_more_than_all_of_it() -> None:
    uneven = [kept(2 * n, 100, evidence=evidence(runqlat=waits(10 * 2**n))) for n in TEN]
    short = [kept(2 * n + 1, 100, evidence=evidence(runqlat=waits(5))) for n in TEN]
    for row in compared(uneven, short)["comparison"]["shift"]["runqlat"]:
        assert row["difference_us"]["low"] < -row["baseline_us"], "of the slowest runs"
        assert -100 < row["change_pct"]["low"] < row["change_pct"]["middle"] < 0


def test_the_99th_percentile_of_few_samples_is_left_out() -> None:
    few = [kept(n, 100, evidence=evidence(runqlat=waits(10, count=99))) for n in TEN]
    many = [kept(10 + n, 100, evidence=evidence(runqlat=waits(10, count=100))) for n in TEN]
    found = compared(few, many)["comparison"]
    assert named(found["figures"], "p95: waiting for a CPU")["kind"] == "percentile"
    assert "p99: waiting for a CPU" not in [one["name"] for one in found["figures"]]
    assert {"name": "p99: waiting for a CPU", "side": "optimized"} in found["on_one_side_only"]
    assert max(row["quantile"] for row in found["shift"]["runqlat"]) == 0.95


def test_a_percentile_matters_by_its_own_size() -> None:
    """A microsecond is nothing of the wall time, and a tenth of a percentile."""
    before = [kept(2 * n, 100, evidence=evidence(runqlat=latency(p95_us=10))) for n in TEN]
    after = [kept(2 * n + 1, 100, evidence=evidence(runqlat=latency(p95_us=11))) for n in TEN]
    found = compared(before, after)["comparison"]
    assert named(found["figures"], "p95: waiting for a CPU")["outcome"] == "larger"


def budget(computing: float, fsync: float) -> dict[str, Any]:
    wall = {
        "available": True,
        "wall_ms": computing + fsync,
        "states": {
            "computing": {"ms": computing},
            "waiting_for_cpu": {"ms": 0.0},
            "blocked": {"ms": fsync},
        },
        "cpu_ms": computing,
        "for_busy_cpu_ms": 0.0,
        "for_idle_cpu_ms": 0.0,
        "blocked_until": [{"reason": "fsync", "command": "dd", "ms": fsync, "count": 10}],
        "blocked_other_ms": 0.0,
        "throttled_ms": 0.0,
    }
    whole = evidence(wall=wall, stolen_ms=0, checks=[])
    whole["offcpu"] = {
        "total_ms": fsync,
        "count": 10,
        "top_reasons": [{"reason": "fsync", "ms": fsync, "interruptible_ms": 0.0}],
        "other": {"ms": 0, "count": 0},
    }
    whole["exec"] |= {"forks": 0}
    return whole


def with_budgets(*parts: float) -> list[Any]:
    [computing, fsync, first] = parts
    return [
        kept(
            2 * n + int(first),
            computing + fsync + noise(n),
            evidence=budget(computing + noise(n), fsync + noise(n + 3) / 10),
        )
        for n in TEN
    ]


def test_the_cause_is_found_from_groups_as_from_pairs() -> None:
    found = compared(with_budgets(20, 5, 0), with_budgets(60, 5, 1))["comparison"]
    cause = found["cause"]
    assert (cause["name"], cause["part"]) == ("more computing", "computing")
    assert cause["part_ms"] == pytest.approx(40, abs=0.5)
    assert found["parts"][0]["name"] == "computing"
    assert found["parts"][0]["difference_ms"]["middle"] == pytest.approx(40, abs=0.5)
    back = compared(with_budgets(60, 5, 0), with_budgets(20, 5, 1))["comparison"]["cause"]
    assert (back["name"], back["difference_ms"]["middle"]) == (
        "more computing",
        pytest.approx(-40, abs=0.5),
    )


def test_what_changed_is_ranked_by_what_it_means_for_the_wall_time() -> None:
    found = compared(with_budgets(20, 5, 0), with_budgets(60, 15, 1))["comparison"]
    ranked = [(one["name"], one["wall_ms"]) for one in found["changed"]]
    assert ranked[0] == ("wall: computing", pytest.approx(40, abs=0.5))
    assert {name for name, _ in ranked[1:4]} == {"wall: blocked", "blocked", "blocked: fsync"}
    assert all(ms == pytest.approx(10, abs=0.5) for _, ms in ranked[1:4])


def test_which_figures_are_tested_does_not_depend_on_the_side() -> None:
    before, after = with_budgets(20, 5, 0), with_budgets(60, 15, 1)
    one, other = compared(before, after)["comparison"], compared(after, before)["comparison"]
    assert [row["name"] for row in one["figures"]] == [row["name"] for row in other["figures"]]


def test_runs_without_a_command_are_timed_by_their_evidence() -> None:
    def from_curl(n: int, ms: float) -> Any:
        whole = evidence(wall={"available": True, "wall_ms": ms, "states": {}})
        return kept(n, None, evidence=whole)

    before = [from_curl(2 * n, ms) for n, ms in enumerate(times(100))]
    after = [from_curl(2 * n + 1, ms) for n, ms in enumerate(times(80))]
    document = compared(before, after)
    assert document["compared"]["timed_by"] == "evidence"
    assert document["comparison"]["outcome"] == "smaller"
    assert document["sides"]["baseline"]["user_ms_mean"] is None
    timed = [kept(30 + n, 80, evidence=run.evidence) for n, run in enumerate(after)]
    mixed = compared(before, timed)
    assert mixed["compared"]["timed_by"] == "evidence", "all by the same"


@pytest.mark.parametrize("ms", [0, -5.0, 1e300])
def test_a_time_that_no_command_takes_is_not_used_and_that_is_said_first(ms: float) -> None:
    seen = evidence(wall={"available": True, "wall_ms": 50.0})
    before, after = blocks(times(100), times(80), evidence=seen)
    command = {**after[3].command, "wall_ms": ms}
    after[3] = replace(after[3], command=command)
    document = compared(before, after)
    assert document["compared"]["timed_by"] == "evidence"
    assert document["compared"]["impossible_times"] == [after[3].id]
    first = render(document).partition("\n~ no")[0].replace("\n", " ")
    assert "0, below 0 or beyond measure in 1 run (the first is run-13)" in " ".join(first.split())
    assert "all are compared by the wall time in the evidence" in " ".join(first.split())
    assert compared(before, before[:6])["compared"]["impossible_times"] == []


def test_runs_of_the_whole_machine_are_timed_by_how_long_was_measured() -> None:
    def measured(n: int, ms: int) -> Any:
        ends = {"measured_from": "2026-03-01T10:11:12.000+00:00"}
        ends["measured_to"] = f"2026-03-01T10:11:12.{ms:03}+00:00"
        return kept(n, None, evidence=evidence(**ends))

    document = compared([measured(n, 500) for n in TEN], [measured(10 + n, 400) for n in TEN])
    assert document["compared"]["timed_by"] == "measured"
    assert document["comparison"]["change_pct"]["middle"] == pytest.approx(-20)
    with pytest.raises(NotComparable, match="how long they took"):
        compared([measured(n, 500) for n in TEN], [kept(20, None)])


def test_the_document_has_each_run_with_its_evidence() -> None:
    document = compared(*blocks(times(100), times(80), labels={"commit": "abc"}))
    assert [run["id"] for run in document["runs"]] == [f"run-{n}" for n in range(20)]
    assert document["runs"][0]["evidence"]["available"]
    assert document["compared"]["labels"]["baseline"]["commit"] == ["abc"]
    assert document["series"]["commands"] == {"baseline": ["prog"], "optimized": ["prog"]}


def test_different_datasets_are_noted() -> None:
    before, after = blocks(times(100), times(80))
    assert len(compared(before, after)["compared"]["notes"]) == 2, "of the order and the layout"
    larger = group(*times(80), first=10, labels={"dataset": "large"})
    notes = compared(before, larger)["compared"]["notes"]
    assert "the sides have different datasets (the label)" in notes


# --- a group with itself


def test_a_group_with_itself_gives_its_floor() -> None:
    random = np.random.default_rng(1)
    runs = group(*(100 * random.lognormal(0, 0.01, 40)))
    document = compare_equals(runs, Asked(seed=3))
    found, aa = document["comparison"], document["compared"]["aa"]
    assert (found["method"], found["runs"]) == ("groups", {"baseline": 20, "optimized": 20})
    assert aa["seed"] == 3
    assert 0.2 < aa["floor_pct"] < 1.2, "of two halves of 20, each with a standard error of 0.25 %"
    assert aa["conclusive"] <= 200 * 0.05
    assert 0.5 < aa["detectable_pct"] < 1.5
    assert compare_equals(runs, Asked(seed=3)) == document


def test_a_group_of_few_runs_cannot_be_halved() -> None:
    with pytest.raises(NotComparable, match="11 runs of the group count, and each half takes 6"):
        compare_equals(group(*times(100, 11)))


# --- whatever the evidence is


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_evidence_of_another_version_does_not_cost_the_result(data: st.DataObject) -> None:
    def spoil(value: Any) -> Any:
        if data.draw(st.integers(0, 9)) == 0:
            return data.draw(
                st.sampled_from([None, True, "x", -1, 1e308, [], {}, [1], {"ms": "x"}])
            )
        if isinstance(value, dict):
            return {name: spoil(one) for name, one in value.items()}
        return value

    whole = spoil(evidence(wall={"states": {"computing": {"ms": 1.0}}}))
    whole = whole if isinstance(whole, dict) else {}
    found = compared(
        *taking_turns(times(100, 6), times(100, 6), evidence=whole or {"available": False}),
        force=True,
    )
    assert found["comparison"]["runs"] == {"baseline": 6, "optimized": 6}
