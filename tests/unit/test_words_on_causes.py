"""The cause of a difference in words, in the report and on the page that explains them."""

from typing import Any

import pytest
from fakes.made_up_pairs import SLEEP, blocked, found
from fakes.pages import DOCS

from agent.compare import decision
from agent.comparison import causes, comparison, families, kept
from agent.comparison.causes import CAUSES, Cause
from agent.comparison.certain import with_certainty
from agent.run import series_plan
from agent.show import amounts, certain
from agent.show.budget import made_up_of
from agent.show.cause import TIMES_DETECTABLE, WORDS
from agent.show.cause import cause as words
from agent.show.comparison import result
from agent.show.differences import signs
from agent.statistics import estimate
from agent.terminal.style import Style


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: str(cause.name))
def test_every_cause_has_its_words_both_ways(cause: Cause) -> None:
    assert WORDS[cause.name][0] != WORDS[cause.name][1]


def test_the_page_has_a_row_for_each_cause() -> None:
    page = (DOCS / "explanation/causes-of-differences.md").read_text()
    table = page.partition("| --- ")[2].partition("\n\n")[0].splitlines()[1:]
    named = [line.split("|")[1].strip() for line in table]
    assert {name for name in named if name} == {cause.name for cause in CAUSES}


def test_competition_says_which_command_had_the_cpu_for_longest() -> None:
    had = {"had": {"apt": 60.0, "cc1": 5.0}}
    said = words({"cause": found({}, {"busy": 80.0, **had})})
    assert "; in all 1.0" in said
    assert "; which apt had none → 60.0" in said


def opposed(name: str, middle: float) -> dict[str, Any]:
    bounds = {"low": middle - 0.5, "middle": middle, "high": middle + 0.5}
    return {"name": name, "difference_ms": bounds}


def judged(**compared: Any) -> dict[str, Any]:
    """Return a comparison in which each part says whether it is certain."""
    parts, figures = compared["parts"], compared.get("figures", [])
    return {**compared, "parts": with_certainty(parts, figures, compared["cause"].get("part"))}


def test_a_part_that_is_more_than_the_difference_is_told_as_it_is() -> None:
    """And what other parts made up of it."""
    slept = blocked(SLEEP, 300.0)
    cause = found({"computing": 31.0}, slept)
    assert cause["part_ms"] == pytest.approx(300, abs=0.5)
    parts = [opposed(f"blocked: {SLEEP}", 300.0), opposed("computing", -11.0)]
    parts += [opposed("stopped", -0.6), opposed("for a busy CPU", -5.0)]
    figures = [state_row("computing", -11.0, "smaller"), state_row("stopped", -0.6, "smaller")]
    said = words(judged(cause=cause, parts=parts, figures=figures))
    assert said.startswith(": 300.0 ms by longer sleep, of which 11.0")
    assert " ms were made up by less time computing (blocked in" in said
    assert "by other parts (" in words({"cause": cause})
    assert "by other parts (" in words(judged(cause=cause, parts=parts))  # by no test
    back = found({**slept, "busy": 1.0}, {"computing": 80.0, "busy": 40.0})
    parts = [opposed("computing", 60.0), opposed("for a busy CPU", 39.0)]
    figures = [
        state_row("computing", 60.0, "larger"),
        state_row("waiting_for_cpu", 39.0, "larger"),
    ]
    said = words(judged(cause=back, parts=parts, figures=figures))
    assert "by shorter sleep, of which 99" in said
    assert "by more time computing and waiting for a CPU that others had (" in said


def test_what_reports_say_again_is_what_was_decided_by() -> None:
    """Reports import nothing of what compares, which takes long to import."""
    assert amounts.FEWEST == estimate.FEWEST
    assert certain.DECIDED == families.DECIDED
    assert decision.DRIFT == comparison.DRIFT
    assert series_plan.MIN_EFFECT == kept.MIN_EFFECT


def test_how_many_runs_would_tell_is_said_where_it_is_known() -> None:
    assert TIMES_DETECTABLE == causes.TIMES_DETECTABLE
    cause = {
        "difference_ms": {"low": 0.5, "middle": 2.661, "high": 5.0},
        "detectable_ms": 2.088,
        "why_none": "too small",
    }
    assert words({"cause": cause, "pairs": 10}).endswith("; about 25 pairs would be enough")
    runs = {"baseline": 9, "optimized": 10}
    said = words({"cause": cause, "pairs": None, "runs": runs})
    assert said == "; the times vary too much to say why; about 25 runs of each would be enough"
    assert words({"cause": {**cause, "detectable_ms": None}, "pairs": 10}).endswith(" say why")


def test_the_words() -> None:
    forth = found({}, {"computing": 60.0})
    said = words({"cause": forth})
    assert said.startswith(": 40.0")
    assert "by more computing (computing; CPU time 20.0" in said
    back = words({"cause": found({"computing": 60.0}, {})})
    assert "by less computing (computing; CPU time 60.0" in back
    assert words({"cause": found({}, {})}) == "; the times vary too much to say why"
    unknown = words({"cause": found({}, {"blocked": {"io_getevents": 60.0}})})
    assert "blocked in io_getevents, and no known cause fits" in unknown
    assert words({}) == ""


SMALL = {
    "difference_ms": {"low": 55.0, "middle": 61.7, "high": 70.0},
    "detectable_ms": 50.0,
    "why_none": "too small",
}


def state_row(name: str, middle: float, outcome: str, adjusted_p: float = 0.012) -> Any:
    return {
        "name": f"wall: {name}",
        "outcome": outcome,
        "difference": {"middle": middle},
        "adjusted_p": adjusted_p,
    }


def test_what_is_certain_by_its_own_test_is_said_without_a_cause() -> None:
    blocked_too, grew = (
        state_row("blocked", 20.0, "larger", 0.02),
        state_row("computing", 62.11, "larger"),
    )
    rest = [
        state_row("waiting_for_cpu", 99.0, "undecided"),
        state_row("stopped", -99.0, "smaller"),
        {**grew, "name": "user CPU", "difference": {"middle": 500.0}},
        {**grew, "name": "blocked", "difference": {"middle": 102.0}},  # summed over tasks
    ]
    said = words({"cause": SMALL, "pairs": 10, "figures": [blocked_too, grew, *rest]})
    assert said.startswith(
        "; certain: 62.11 ms more time computing (p=0.012) and 20.00 ms more time blocked"
        " (p=0.020); the times vary too much to say more; about"
    )
    assert words({"cause": SMALL, "figures": rest}) == "; the times vary too much to say why"
    less = {**SMALL, "difference_ms": {"low": -70.0, "middle": -61.7, "high": -55.0}}
    gone = state_row("no_task", -62.11, "smaller")
    said = words({"cause": less, "figures": [gone, *rest[:1]]})
    certain = "; certain: 62.11 ms less time without a task (p=0.012)"
    assert said == f"{certain}; the times vary too much to say more"


def test_a_state_is_named_with_the_parts_that_it_certainly_consists_of() -> None:
    grew = state_row("blocked", 62.0, "larger")
    parts = [
        opposed("blocked: fsync", 40.0),
        opposed("blocked: read", 15.0),
        opposed("blocked: futex", 12.0),  # by its interval alone
        opposed("blocked: write", 2.0),
        opposed("blocked: poll", -7.0),
    ]
    read = {"name": "blocked: read", "outcome": "larger", "difference": {"middle": 90.0}}
    futex = {**read, "name": "blocked: futex", "outcome": "undecided"}
    comparison = judged(cause=SMALL, parts=parts, figures=[grew, read, futex])
    within = "p=0.012; 40.00 ms in fsync, 15.00 ms in read"
    assert f"; certain: 62.00 ms more time blocked ({within});" in words(comparison)
    decided = {**comparison, "outcome": "larger"}
    assert made_up_of(decided) == (
        "+40.00 ms blocked in fsync, +15.00 ms blocked in read; less certain, each by its own"
        " interval: +12.00 ms blocked in futex, +2.000 ms blocked in write, -7.000 ms blocked in"
        " poll"
    )
    waited = state_row("waiting_for_cpu", 30.0, "larger")
    parts = [opposed("for a busy CPU", 20.0), opposed("for an idle CPU", 9.0)]
    said = words(judged(cause=SMALL, parts=parts, figures=[waited]))
    within = "p=0.012; 20.00 ms for one that others had"
    assert f"30.00 ms more time waiting for a CPU ({within});" in said


def test_what_nothing_can_be_concluded_of_is_not_certain() -> None:
    """So few pairs have an interval, but no test among many."""
    blocked_more = state_row("blocked", 61.7, "too few") | {"pairs_needed": 8}
    parts = [opposed(f"blocked: {SLEEP}", 61.7)]
    few = judged(cause=SMALL, pairs=6, parts=parts, figures=[blocked_more])
    why = "; the times vary too much to say why, and it takes 8 pairs to test where it went"
    assert words(few) == f"{why}; about 16 pairs would be enough"
    narrow = {**SMALL, "detectable_ms": 31.0}  # 7 pairs would do for the times
    assert words({**few, "cause": narrow}) == f"{why}; about 8 pairs would be enough"
    less_certain = f"less certain, by its own interval: +61.70 ms blocked in {SLEEP}"
    assert made_up_of({**few, "outcome": "larger"}) == less_certain


def test_the_part_that_decides_about_the_cause_is_certain_in_the_table_as_well() -> None:
    cause = found({}, blocked(SLEEP, 300.0))
    untested = state_row("blocked", 300.0, "too few") | {"pairs_needed": 8}
    parts = [opposed(f"blocked: {SLEEP}", 300.0)]
    comparison = judged(cause=cause, outcome="larger", parts=parts, figures=[untested])
    assert made_up_of(comparison) == f"+300.0 ms blocked in {SLEEP}"
    share = "blocked: certain by its share in the difference of the times, if not by this test"
    assert signs([untested], comparison)[-1] == share
    shown = {**untested, "outcome": "larger"}
    assert signs([shown], comparison) == []


def test_what_certainly_differs_is_said_where_the_times_do_not() -> None:
    figures = [state_row("blocked", 12.0, "larger"), state_row("computing", -2.0, "smaller")]
    comparison = {
        "outcome": "undecided",
        "p": 0.131,
        "pairs": 10,
        "detectable_pct": 145.0,
        "cause": {**SMALL, "detectable_ms": 20.0},
        "figures": figures,
        "parts": [{**opposed("blocked: fsync", 13.0), "is_certain": True}],
    }
    certain = (
        "; but certain: 12.00 ms more time blocked (p=0.012; 13.00 ms in fsync) and 2.000 ms less"
        " time computing (p=0.012)"
    )
    begins = "~ no difference found (p=0.131 n=10); one of 145 % would probably have been"
    would = "; about 40 pairs would probably show as much in the times"
    assert result({}, comparison, Style(), {}) == f"{begins}{certain}{would}"
    assert result({}, {**comparison, "figures": []}, Style(), {}) == begins
    too_many = {**SMALL, "detectable_ms": 200.0}
    assert result({}, {**comparison, "cause": too_many}, Style(), {}) == f"{begins}{certain}"
    equals = result({}, comparison, Style(), {"aa": {"seed": 1}})
    assert equals == "~ no difference found (p=0.131 n=10)"
    within = {**comparison, "outcome": "too small"}
    assert result({}, within, Style(), {}).endswith(certain)


def test_without_budgets_the_reason_is_the_one_that_keeps_them_away() -> None:
    cause = {**SMALL, "why_none": "too few budgets"}
    few = "; no cause found: too few have a budget of wall time (it takes 6 pairs)"
    assert words({"cause": cause, "pairs": 10}) == few
    reason = "nothing was measured: rights are missing. Run it as root, or else."
    none = {**cause, "budgets": [0, 0], "reason": reason}
    only = "; no cause found: nothing was measured: rights are missing"
    assert words({"cause": none, "pairs": 10}) == only
    some = {**cause, "budgets": [3, 10], "reason": reason}
    others = "; in most others nothing was measured: rights are missing"
    assert words({"cause": some, "pairs": 10}) == f"{few}{others}"


def test_the_largest_part_is_named_where_none_is_half() -> None:
    cause = {**SMALL, "why_none": "no large part"}
    none = "; no cause found: no part of the wall time is half of 61.70 ms"
    parts = [opposed("stopped", 90.0), opposed("computing", 20.0), opposed("blocked: read", 30.0)]
    parts[0]["difference_ms"]["low"] = -1.0
    parts.append(opposed("for a busy CPU", -60.0))
    by_itself = "the largest, by its own interval, is 30.00 ms blocked in read (48.6 %)"
    assert words(judged(cause=cause, parts=parts)) == f"{none}; {by_itself}"
    figures = [state_row("blocked", 31.0, "larger")]
    said = words(judged(cause=cause, parts=parts, figures=figures))
    assert said == f"{none}; the largest is 30.00 ms blocked in read (48.6 %)"
    assert words({"cause": cause, "parts": parts[:1]}) == none


def test_what_no_run_of_a_side_had_is_none_in_both_directions() -> None:
    slept = blocked(SLEEP, 300.0)
    forth, back = found({}, slept), found(slept, {})
    assert [row["occurs_in"] for row in (*forth["figures"], *back["figures"])] == [[0, 10], [10, 0]]
    assert "; in all none → 300.0 ms)" in words({"cause": forth})
    assert "; in all 300.0 ms → none)" in words({"cause": back})
    for row in forth["figures"]:  # a file of an earlier version does not know
        del row["occurs_in"]
    assert "; in all 0 ms → 300.0 ms)" in words({"cause": forth})
