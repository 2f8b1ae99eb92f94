"""Where the wall time went, as a terminal shows it."""

from typing import Any

import pytest
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


def test_a_run_of_the_whole_machine_is_not_told_that_it_has_none() -> None:
    none = {"available": False, "reason": "a run of the whole machine has none"}
    whole = evidence(wall=none, scope={"kind": "system"})
    assert TITLE not in brief(whole)
    assert TITLE not in render(whole)
    assert TITLE in render(evidence(wall=none, scope={"kind": "pid"}))


def life(name: str, **changes: Any) -> dict[str, Any]:
    row = {"command": name, "threads": 3, "lifetime_ms": 1000.0, "on_cpu_ms": 300.0}
    row |= {"waiting_ms": 2.0, "blocked_ms": 698.0, "stopped_ms": 0.0, "unaccounted_ms": 0.0}
    blocked_in = [{"reason": "wait4", "ms": 650.0}, {"reason": "read", "ms": 48.0}]
    return {**row, "blocked_in": blocked_in, **changes}


def test_what_each_command_did() -> None:
    commands = {"top": [life("sh"), life("make", unaccounted_ms=20.0)]}
    lines = wall({"wall": measured(by_command=commands)}, 78)
    text = " ".join(" ".join(lines).replace(",", "").split())
    assert "sh 1 s in 3 threads 300 ms on a CPU 650 ms in wait4 48 ms in read make" in text
    assert text.endswith("48 ms in read 20 ms not accounted for")
    assert "2 ms waiting" not in text
    assert all(cells(line) <= 78 for line in lines)


def test_threads_that_left_the_scope_are_missing_and_said() -> None:
    commands = {"top": [life("sh"), life("make")]}
    text = " ".join(wall({"wall": measured(by_command=commands, by_thread={"left": 3})}, 78))
    assert text.endswith("3 threads that left the scope alive: in none of these")
    assert "left the scope" not in " ".join(wall({"wall": measured(by_command=commands)}, 78))


@pytest.mark.parametrize(
    ("stopped_ms", "said"),
    [
        (0.0, ""),
        (45.0, "45 ms held by run before its exec"),
        (170.0, "70 ms held by run before its exec 100 ms stopped"),
    ],
)
def test_what_run_has_held_was_not_stopped_by_anybody(stopped_ms: float, said: str) -> None:
    first = life("make", tid=70, stopped_ms=stopped_ms)
    found = measured(
        began="exec",
        before_ms=70.0,
        by_command={"top": [life("make", stopped_ms=stopped_ms), life("sh", stopped_ms=20.0)]},
        by_thread={"top": [life("sh", tid=71), first]},
    )

    def told(**more: Any) -> str:
        lines = wall({"wall": found, "scope": {"kind": "pid", "pid": 70}, **more}, 78)
        return " ".join(" ".join(lines).replace(",", "").split())

    text = told(command={"arguments": ["make"]})
    assert f"48 ms in read {said}".rstrip() in text
    assert text.count("held by run") == bool(said)
    assert text.endswith("20 ms stopped"), "of another command"
    shown = render(
        {"wall": found, "scope": {"pid": 70}, "command": {"a": 1}, "offcpu": {"count": 1}}
    )
    by_run = f"of the stopped time, {said.partition(' held')[0]} was run holding the command"
    assert (by_run in shown) == bool(said)
    assert "held by run" not in told(), "an agent's own run holds nobody"


def test_one_command_is_shown_by_thread() -> None:
    threads = {"top": [life("java", tid=70 + n, threads=None) for n in range(20)]}
    lines = wall({"wall": measured(by_command={"top": [life("java")]}, by_thread=threads)}, 78)
    text = " ".join(" ".join(lines).split())
    assert "70 java 1 s, 300 ms on a CPU" in text
    assert "75 java" not in text


def test_a_single_thread_needs_no_budget_of_its_own() -> None:
    one = {"by_command": {"top": [life("sh")]}, "by_thread": {"top": [life("sh", tid=7)]}}
    assert wall({"wall": measured(**one)}, 78) == wall({"wall": measured()}, 78)


def test_which_commands_had_the_cpu() -> None:
    taken = [{"command": "cc1", "ms": 18.0, "count": 3}, {"command": "sh", "ms": 0.1, "count": 1}]
    text = " ".join(wall({"wall": measured(for_busy_cpu_of=taken)}, 78))
    assert "CPU taken by    cc1 18 ms (3.44 %)" in text
    assert "sh" not in text
    too_long = measured(for_busy_cpu_of=taken, for_busy_cpu_excess_ms=2.0)
    assert "cc1 at most 18 ms" in " ".join(wall({"wall": too_long}, 78))


def quota(**changes: Any) -> dict[str, Any]:
    row = {"cgroup": "/a", "quota_ms": 20.0, "period_ms": 100.0, "throttled": 2}
    return {"available": True, "throttled_ms": 15.0, "limits": [row], **changes}


def said(**parts: Any) -> str:
    return " ".join(wall({"wall": measured(), **parts}, 78))


def test_what_a_quota_withheld_is_a_part_of_the_wait() -> None:
    text = said(wall=measured(throttled_ms=15.0), cpu_quota=quota())
    assert "of the waiting, up to 15 ms throttled by the CPU quota" in text
    assert "(20 ms in each 100 ms, cgroup /a)" in text
    assert "for an idle CPU;" in text or "2 ms for an idle CPU" in text
    assert "to wake up" not in text, "it did not have to"
    assert "quota" not in said(wall=measured(throttled_ms=0.0), cpu_quota=quota())


def test_after_a_long_wait_it_says_that_a_quota_is_not_known() -> None:
    unknown = {"available": False, "reason": "moved away"}
    long = measured(throttled_ms=None, states={"waiting_for_cpu": {"ms": 100.0}})
    assert "not known whether a CPU quota throttled it: moved away" in said(
        wall=long, cpu_quota=unknown
    )
    hidden = said(wall=long, cpu_quota=quota(throttled_ms=None, limits=[]))
    assert "the control groups above the agent's own are hidden" in hidden
    assert "quota" not in said(wall=measured(throttled_ms=None), cpu_quota=unknown), "a short one"
    assert "quota" not in said(wall=long), "of an earlier agent"


def test_stolen_time_is_shown_where_there_was_any() -> None:
    assert "the hypervisor took CPUs away for 30 ms" in said(stolen_ms=30.0)
    for value in (0.0, None, "x"):
        assert "hypervisor" not in said(stolen_ms=value)
