"""The machines of a run, as ``show`` and ``run`` print them."""

from typing import Any

import pytest
from fakes.any_json import JSON
from fakes.fleet import document, of_machine
from hypothesis import given

from agent.fleet.merging import with_merged
from agent.show.brief import brief
from agent.show.text import render
from agent.terminal.width import cells


def lines_of(report: str) -> list[str]:
    lines = report.splitlines()
    begin = lines.index("Machines") + 1
    return [line.strip() for line in lines[begin : begin + 7]]


def test_one_row_for_each_machine_and_one_for_all() -> None:
    whole = with_merged(document(of_machine([10] * 50), reasons=["Connection refused"]))
    for report in (brief(whole), render(whole)):
        header, here, other, together, missing, *_ = lines_of(report)
        assert header.split()[:3] == ["machine", "measured", "verdict"]
        assert here.split() == [
            "here",
            "workload",
            "complete",
            *["3", "µs", "100", "µs", "107", "ms", "12"],
        ]
        assert other.split()[:7] == ["db0", "all", "of", "it", "complete", "10", "µs"]
        assert together.split()[:4] == ["together", "all", "these", "degraded"]
        assert together.split()[-1] == "24"
        assert missing.startswith("no evidence of gone0 (http://gone0:9090): Connection refused")


def test_a_sum_that_counts_twice_says_so() -> None:
    whole = document(of_machine())
    for row in whole["fleet"]["machines"]:
        row["boot_id"] = "same"
    assert "- same_machine: here, db0 are one machine" in brief(with_merged(whole))


def test_without_evidence_of_the_workload_the_others_are_shown() -> None:
    whole = with_merged(document(of_machine(), available=False, reason="was killed"))
    for report in (brief(whole), render(whole)):
        assert lines_of(report)[1].startswith("db0")
        assert "no evidence of here (http://here:9090): was killed" in report


def test_what_is_said_of_the_workload_is_not_said_again() -> None:
    whole = with_merged(document(of_machine(), available=False, reason="was killed"))
    whole["fleet"]["machines"][0]["reason"] = "was killed"
    for report in (brief(whole), render(whole)):
        assert report.count("was killed") == 1
        assert "): see above" in report


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    whole = with_merged(document(of_machine(), reasons=["word " * 100]))
    assert max(map(cells, brief(whole, width).splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80])
def test_how_to_end_a_run_can_be_copied(width: int) -> None:
    cure = "curl -X POST --cacert /etc/ca.pem https://gone0.example.org:9090/stop"
    whole = with_merged(
        document(of_machine(), reasons=[f"it may be this one, end it with: {cure}"])
    )
    _, begin, rest = brief(whole, width).partition("curl")
    assert " ".join(f"{begin}{rest}".replace("\\\n", "").split()) == cure


@given(JSON)
def test_whatever_stands_there_is_shown(content: Any) -> None:
    for fleet in (content, {"machines": content}, {"machines": [content], "merged": content}):
        brief({**of_machine(), "fleet": fleet})
        render({**of_machine(), "fleet": fleet}, everything=True)


def test_a_series_says_in_how_many_runs_a_machine_was_measured() -> None:
    whole = {"series": {"commands": {"command": ["true"]}}, "sides": {}}
    one, other = document(of_machine()), document(reasons=["gone"])
    report = brief({**whole, "runs": [{"evidence": one}, {"evidence": one}, {"evidence": other}]})
    assert "machines  next to it: db0 in 2 runs, gone0 in 0 runs" in report
    assert "machines" not in brief({**whole, "runs": [{"evidence": of_machine()}]})


def test_evidence_of_one_agent_has_no_machines() -> None:
    assert "Machines" not in brief(of_machine())
