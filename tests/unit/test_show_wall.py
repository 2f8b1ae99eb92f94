"""Where the wall time went, as a terminal shows it."""

from typing import Any

from fakes.sample_evidence import evidence

from agent.show.brief import brief
from agent.show.text import render
from agent.show.wall import TITLE, wall
from agent.terminal.width import cells

STATES = {"computing": 312.0, "waiting_for_cpu": 20.5, "blocked": 190.25, "stopped": 0.0}


def measured(**changes: Any) -> dict[str, Any]:
    found = {
        "available": True,
        "wall_ms": sum(STATES.values()),
        "began": "exec",
        "ended": "exit",
        "states": {name: {"ms": ms, "share": None} for name, ms in STATES.items()},
        "at_once": 1.25,
        "for_busy_cpu_ms": 18.5,
        "for_idle_cpu_ms": 2.0,
    }
    return {**found, **changes}


def test_every_state_that_there_was_has_a_bar() -> None:
    lines = wall({"wall": measured()}, 78)
    assert lines[0] == "523 ms from the exec of the command to its end"
    named = [line.strip().split("  ")[0] for line in lines[1:4]]
    assert named == ["computing", "waiting for a CPU", "blocked"]
    assert "59.7 %" in lines[1] or "60 %" in lines[1]
    assert all(cells(line) <= 78 for line in lines)
    rest = " ".join(lines[4:])
    assert "1.25 at once" in rest
    assert "18.5 ms for a CPU that another task had" in rest
    assert "2 ms for an idle CPU to wake up" in rest


def test_why_there_is_none() -> None:
    assert wall({"wall": {"available": False, "reason": "no atomics"}}, 78) == [
        "not measured: no atomics"
    ]
    assert wall({}, 78) == []


def test_hostile_values_are_survived() -> None:
    for value in (None, 1, "x", [], {"available": True}, measured(states=[], at_once="\x1b")):
        assert all("\x1b" not in line for line in wall({"wall": value}, 40))


def test_it_is_shown_before_the_sections() -> None:
    for text in (brief(evidence(wall=measured())), render(evidence(wall=measured()))):
        assert TITLE in text
        assert text.index(TITLE) < text.index("fsync" if "fsync" in text else "futex")


def test_a_run_of_the_whole_machine_is_not_told_in_short_that_it_has_none() -> None:
    whole = evidence(wall={"available": False, "reason": "whole"}, scope={"kind": "system"})
    assert TITLE not in brief(whole)
    assert TITLE in render(whole)
