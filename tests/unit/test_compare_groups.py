"""Two groups of kept runs, compared: made-up runs, of which all is known."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.kept_groups import blocks, compared, group, in_turn, kept, noise, times
from fakes.sample_evidence import evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.comparison.comparable import NotComparable
from agent.comparison.equals import compare_equals
from agent.comparison.kept import Asked
from agent.store.documents import runs_of
from agent.store.run import IMPORT

TEN = range(10)


def taking_turns(before: list[float], after: list[float], **changes: Any) -> tuple[Any, Any]:
    return group(*before, step=2, **changes), group(*after, first=1, step=2, **changes)


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


def saved(document: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the two sides of a comparison that was saved and read again."""
    runs = runs_of(json.loads(json.dumps(document)), IMPORT)
    before, after = (
        [run for run in runs if run.side == side] for side in ("baseline", "optimized")
    )
    return before, after


def alike(runs: list[Any]) -> list[Any]:
    """Return runs whose evidence says when they began, too."""
    return [replace(run, evidence={**run.evidence, "started_at": run.started_at}) for run in runs]


def test_a_saved_comparison_of_groups_has_no_pairs_when_it_is_read() -> None:
    """Though they took turns, as rounds do."""
    document = compared(*map(alike, taking_turns(times(100), times(80))))
    assert {run.series for side in saved(document) for run in side} == {None}
    again = compared(*saved(document))
    assert again["comparison"]["method"] == "groups"
    assert again["compared"]["why_no_pairs"] == "they are not of one series"
    of_two = [kept(2 * n, 100 + n, series="series-a", round=n) for n in TEN]
    other = [kept(2 * n + 1, 90 + n, series="series-b", round=n) for n in TEN]
    before, after = saved(compared(alike(of_two), alike(other)))
    assert {run.series for run in before} == {"series-a"}
    assert {run.series for run in after} == {"series-b"}
    halves = compare_equals(alike(group(*times(100), *times(100))))
    assert compared(*saved(halves))["comparison"]["method"] == "groups"


def test_a_saved_comparison_of_pairs_has_them_still() -> None:
    again = compared(*saved(compared(*map(alike, in_turn(times(100), times(80))))))
    assert again["comparison"]["method"] == "pairs"


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
    aside = [
        kept(30, 1.0, counts=False),
        kept(31, 1.0, counts=False, command={"exit_status": 3, "signal": None}),
        kept(32, 1.0, counts=False, command={"signal": "SIGSEGV"}, state="aborted"),
        kept(33, 1.0, counts=False, command={"exit_status": 0}, state="aborted"),
    ]
    whys = [
        "it failed or was interrupted",
        "it exited with status 3",
        "it was killed by SIGSEGV",
        "it was interrupted",
    ]
    document = compared([*before, *aside], after)
    assert document["comparison"]["runs"]["baseline"] == 10
    assert [one["why"] for one in document["compared"]["left_out"]] == whys
    document = compare_equals([*before, *after, *aside])
    assert [one["why"] for one in document["compared"]["left_out"]] == whys
    for refused in (lambda: compared(before, aside), lambda: compare_equals(aside)):
        with pytest.raises(NotComparable) as raised:
            refused()
        [reason] = raised.value.refusals
        assert all(why in reason.why for why in whys)
        assert "run-31" in reason.why


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
