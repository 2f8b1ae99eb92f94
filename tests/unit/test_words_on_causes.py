"""The cause of a difference in words, in the report and on the page that explains them."""

from typing import Any

import pytest
from fakes.made_up_pairs import SLEEP, blocked, found
from fakes.pages import DOCS

from agent.comparison import causes
from agent.comparison.causes import CAUSES, Cause
from agent.show.cause import TIMES_DETECTABLE, WORDS
from agent.show.cause import cause as words


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


def test_a_part_that_is_more_than_the_difference_is_told_as_it_is() -> None:
    """And what other parts made up of it."""
    slept = blocked(SLEEP, 300.0)
    cause = found({"computing": 31.0}, slept)
    assert cause["part_ms"] == pytest.approx(300, abs=0.5)
    parts = [opposed(f"blocked: {SLEEP}", 300.0), opposed("computing", -11.0)]
    said = words({"cause": cause, "parts": [*parts, opposed("stopped", -0.6)]})
    assert said.startswith(": 300.0 ms by longer sleep, of which 11.0")
    assert " ms were made up by less time computing (blocked in" in said
    assert "by other parts (" in words({"cause": cause})
    back = found({**slept, "busy": 1.0}, {"computing": 80.0, "busy": 40.0})
    parts = [opposed("computing", 60.0), opposed("for a busy CPU", 39.0)]
    said = words({"cause": back, "parts": parts})
    assert "by shorter sleep, of which 99" in said
    assert "by more time computing and waiting for a CPU that others had (" in said


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
    begins = "; the times vary too much to say why"
    assert said.startswith(
        f"{begins}, but not too much to show 62.11 ms more time computing (p=0.012) and 20.00 ms"
        " more time blocked (p=0.020); about"
    )
    assert words({"cause": SMALL, "figures": rest}) == begins
    less = {**SMALL, "difference_ms": {"low": -70.0, "middle": -61.7, "high": -55.0}}
    gone = state_row("no_task", -62.11, "smaller")
    said = words({"cause": less, "figures": [gone, *rest[:1]]})
    assert said == f"{begins}, but not too much to show 62.11 ms less time without a task (p=0.012)"


def test_the_largest_part_is_named_where_none_is_half() -> None:
    cause = {**SMALL, "why_none": "no large part"}
    none = "; no cause found: no part of the wall time is half of 61.70 ms"
    parts = [opposed("stopped", 90.0), opposed("computing", 20.0), opposed("blocked: read", 30.0)]
    parts[0]["difference_ms"]["low"] = -1.0
    parts.append(opposed("for a busy CPU", -60.0))
    said = words({"cause": cause, "parts": parts})
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
