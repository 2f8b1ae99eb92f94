"""Reports: the figures that pictures and tables show are those of the document."""

import re
from typing import Any

import pytest
from fakes.report_pages import HTML, figures, tree, words
from fakes.reports import compared, latencies, measured, repeated

pytest.importorskip("matplotlib")

from agent.report.page import page
from agent.show.certain import part
from agent.terminal.parts import BLOCKED_OTHER


def test_percentiles_are_medians_over_runs() -> None:
    document = repeated(3)
    for number, run in enumerate(document["runs"]):
        run["evidence"] = measured(number, False)
        run["evidence"]["runqlat"] = latencies((1.0, 10.0, 100.0)[number], 20_000, 5, 0.001)
    table = figures(tree(page(document)))["percentiles-runqlat"].find(f".//{HTML}table")
    assert table is not None
    rows = {
        words(row[0]): [words(c) for c in row] for row in table.findall(f".//{HTML}tbody/{HTML}tr")
    }
    assert rows["50 %"][1] == "10 µs"
    assert rows["50 %"][2] == "1 µs – 100 µs"


def shifted(**changes: Any) -> dict[str, Any]:
    """Return a comparison with the differences of quantiles of waits for a CPU."""
    document = compared(6)
    row = {
        "quantile": 0.5,
        "runs": [6, 6],
        "baseline_us": 10.0,
        "optimized_us": 8.0,
        "difference_us": {"low": -17.5, "middle": -2.0, "high": -1.5},
        "change_pct": {"low": -64.0, "middle": -20.0, "high": -16.0},
    }
    document["comparison"]["shift"] = {"runqlat": [row, {**row, "quantile": 0.999, **changes}]}
    return document


def test_differences_of_quantiles_are_in_a_picture_and_its_table() -> None:
    found = figures(tree(page(shifted())))
    said = words(found["shift-runqlat"])
    assert "-2 µs -17.5 µs – -1.5 µs -20 % -64 % – -16 % 6, 6" in said
    # a latency cannot shrink by more than all of it
    assert "-100 %" not in said
    assert "no quantile is known on both sides" in words(found["shift-biolatency"])


def test_a_quantile_without_an_interval_is_hollow() -> None:
    none = {"low": None, "middle": -20.0, "high": None}
    said = words(figures(tree(page(shifted(change_pct=none))))["shift-runqlat"])
    assert "Hollow: too few runs for an interval, which takes 6 of each." in said


def test_what_is_blocked_and_not_listed_is_said_to_be_of_unknown_end() -> None:
    run = measured(0, False)
    run["wall"]["blocked_other_ms"] += run["wall"]["blocked_until"].pop()["ms"]
    said = words(figures(tree(page(run)))["budget"])
    assert "time of which it is not known what ended it" in said


def test_what_stands_before_a_lower_bound_is_explained_where_there_is_one() -> None:
    document = repeated(6)
    assert "≥" not in words(tree(page(document)))
    document["sides"]["command"]["figures"][0]["at_least"] = True
    shown = tree(page(document))
    said = words(shown)
    assert "states of the wall time; ≥: at least, as tasks were only looked at now and then" in said
    [cell] = [one for one in shown.iter(f"{HTML}td") if words(one).startswith("≥")]
    assert cell.get("class") == "number", "aligned as the others are"


def test_what_was_compared_against_the_rules_says_so() -> None:
    document = compared(6)
    refusal = {"about": "kernel", "why": "they ran on different kernels", "cure": "--across"}
    document["compared"] = {"forced": True, "refused": [refusal]}
    told = "Not comparable, and compared all the same: they ran on different kernels"
    assert told in words(tree(page(document)))


def test_differences_over_orders_of_magnitude_are_all_to_be_seen() -> None:
    many = {"low": 9_000.0, "middle": 10_000.0, "high": 50_000.0}
    said = words(figures(tree(page(shifted(change_pct=many))))["shift-runqlat"])
    assert "The axis is logarithmic beyond 10 %." in said
    for label in ("-10 %", "+10 %", "+100 %", "+1,000 %", "+10,000 %"):
        assert label in said


def test_the_parts_of_the_difference_are_told_as_in_the_terminal() -> None:
    document = compared(6)
    bounds = {"low": -26.0, "middle": -25.0, "high": -24.0}
    parts = [{"name": "blocked: fsync", "difference_ms": bounds, "is_certain": True}]
    document["comparison"] |= {"outcome": "smaller", "parts": parts}
    assert "parts -25.00 ms blocked in fsync" in " ".join(words(tree(page(document))).split())


def test_which_parts_of_the_difference_are_certain_is_in_their_table() -> None:
    document = compared(10)
    listed = {one["name"]: one["is_certain"] for one in document["comparison"]["parts"]}
    assert (listed["blocked: fsync"], listed["computing"]) == (True, False)
    said = words(figures(tree(page(document)))["budget"])
    assert "95 % interval certain" in said
    assert "A difference of a part is certain if" in said
    assert f"{part(BLOCKED_OTHER)} 750.0 µs 750.0 µs 0 ms 0 ms – 0 ms no" in said
    assert "blocked_other" not in said
    assert re.search(r"blocked in fsync [-–.\d ms]+ yes", said)
    assert re.search(r"computing [-–.\d ms]+ no", said)
    for one in document["comparison"]["parts"]:  # a file of an earlier version does not know
        del one["is_certain"]
    assert not re.search(r"\b(yes|no)\b", words(figures(tree(page(document)))["budget"]))


def test_less_than_one_event_is_no_count() -> None:
    document = repeated(3)
    for run in document["runs"]:
        for bucket in run["evidence"]["runqlat"]["histogram"]:
            bucket["count"] = 5e-324
    assert "histogram-biolatency" in figures(tree(page(document)))
