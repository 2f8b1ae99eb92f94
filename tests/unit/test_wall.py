"""The wall time as the evidence has it, from tables as the kernel side leaves them."""

from typing import Any

import numpy as np
import pytest
from fakes.walls import wall_table

from agent.evidence.checks import Check
from agent.sections.offcpu import wall
from agent.sections.offcpu.layout import (
    WALL_BEGUN,
    WALL_BLOCKED,
    WALL_ENDED,
    WALL_EXECED,
    WALL_HEAD,
    WALL_RUNNABLE,
    WALL_RUNNING,
    WALL_STOPPED,
)
from agent.sections.offcpu.metrics import WALL, wall_totals
from agent.sections.offcpu.wall_tables import (
    END_DTYPE,
    HEAD_DTYPE,
    NAMES,
    PHASE_SHIFT,
    ROW_DTYPE,
    WallTime,
    read_wall,
    so_far,
)
from agent.streams.shared import layout
from agent.streams.supervisor.armed import WallLook

START, STOP = 1_000_000, 9_000_000
NO_UNITS, NO_ENDS = np.zeros(8, np.uint64), np.zeros(4, END_DTYPE)


def read(
    table: Any, units: Any = NO_UNITS, ends: Any = NO_ENDS, cpus_of: Any = NO_ENDS
) -> WallTime:
    found = read_wall(table, units, ends, cpus_of, START, STOP)
    assert found is not None
    return found


def units(*fields: int) -> Any:
    """Return a table of units, the first of which is nobody's."""
    return np.array([0, *(7 | field << 32 for field in fields)], np.uint64)


def checks(found: WallTime, contradicted: int | None = 0) -> dict[str, Check]:
    return {check.name: check for check in wall.checks(found, contradicted)}


def test_from_the_start_to_the_stop() -> None:
    found = read(
        wall_table(begun=2_000_000, ended=8_000_000, computing=4_000_000, blocked=2_000_000)
    )
    evidence = wall.evidence(found)
    assert (evidence["began"], evidence["ended"]) == ("start", "stop")
    assert (evidence["before_ms"], evidence["wall_ms"], evidence["after_ms"]) == (1, 6, 1)
    assert evidence["states"]["computing"] == {"ms": 4, "share": 0.666667}
    assert evidence["states"]["stopped"] == {"ms": 0, "share": 0}
    assert all(check.passed for check in checks(found).values())


def test_a_run_that_ended_before_that_was_noticed() -> None:
    table = wall_table(begun=START, ended=STOP + 500, computing=STOP - START - 7, no_task=507)
    found = read(table)
    assert found.lasted == STOP - START
    assert found.by_state["no_task"] == 7
    assert all(check.passed for check in checks(found).values())


@pytest.mark.parametrize(("mains", "ended"), [(0, "exit"), (1, "stop")])
def test_from_the_exec_on(mains: int, ended: str) -> None:
    table = wall_table(begun=2_000_000, execed=3_000_000, ended=8_000_000, mains=mains, blocked=5)
    evidence = wall.evidence(read(table))
    assert (evidence["began"], evidence["ended"]) == ("exec", ended)
    assert (evidence["before_ms"], evidence["wall_ms"]) == (2, 5)


def test_nothing_is_divided_by_nothing() -> None:
    evidence = wall.evidence(read(wall_table(begun=START, ended=START)))
    assert evidence["states"]["computing"] == {"ms": 0, "share": None}
    assert evidence["at_once"] is None


def test_an_end_that_was_not_noted() -> None:
    table = wall_table(begun=START, ended=STOP)
    table[:8] = 0
    assert read_wall(table, NO_UNITS, NO_ENDS, NO_ENDS, START, STOP) is None
    assert wall.evidence(None) == {"available": False, "reason": wall.NOT_ENDED}


def test_a_sum_that_is_off_by_a_nanosecond() -> None:
    found = read(wall_table(begun=2_000_000, ended=8_000_000, computing=5_999_999))
    assert not checks(found)["wall_sum"].passed


def test_tasks_that_the_word_has_and_nobody_is() -> None:
    word = 1 << WALL_RUNNING | 2 << WALL_BLOCKED
    table = wall_table(begun=START, ended=STOP, word=word, computing=STOP - START)
    assert checks(read(table, units(WALL_RUNNING, WALL_BLOCKED, WALL_BLOCKED)))["wall_tasks"].passed
    for others in ((), (WALL_RUNNING, WALL_BLOCKED), (WALL_RUNNING, WALL_BLOCKED, WALL_STOPPED)):
        assert not checks(read(table, units(*others)))["wall_tasks"].passed


def test_what_cpus_have_kept_back_belongs_to_the_word() -> None:
    """One has seen a task fall asleep, the other has seen the same one woken since."""
    word = 1 << WALL_RUNNING | 1 << WALL_RUNNABLE
    table = wall_table(begun=START, ended=STOP, word=word, computing=STOP - START)
    rows = table[WALL_HEAD:].view(ROW_DTYPE)
    rows["deferred"] = (1 << WALL_BLOCKED) - (1 << WALL_RUNNABLE), 0
    found = read(table, units(WALL_RUNNING, WALL_BLOCKED))
    assert found.tasks == (1, 0, 1, 0)
    rows["deferred"][1] = (1 << 64) - (1 << WALL_BLOCKED) + (1 << WALL_RUNNABLE)
    found = read(table, units(WALL_RUNNING, WALL_RUNNABLE))
    assert found.tasks == found.units == (1, 1, 0, 0)


def test_a_task_that_does_something_else() -> None:
    found = read(wall_table(begun=START, ended=STOP, computing=STOP - START))
    assert not checks(found, contradicted=1)["wall_states"].passed
    assert "wall_states" not in checks(found, contradicted=None)


def test_what_went_unseen_is_bounded() -> None:
    lasted = 10**9
    found = read(wall_table(begun=1, ended=1 + lasted, computing=lasted - 10**8, unknown=10**8))
    assert not checks(found)["wall_unseen"].passed
    assert checks(found)["wall_sum"].passed


@pytest.mark.parametrize(
    ("arrivals", "others", "bound"), [(50, 0, 50), (500, 0, 200), (500, 7, 207)]
)
def test_a_task_that_was_not_seen_to_arrive_was_counted_as_waiting(
    arrivals: int, others: int, bound: int
) -> None:
    """So the state can be wrong only where it is ``waiting_for_cpu``."""
    counts = {"unseen": 2, "arrivals_ns": arrivals * 10**6, "unseen_ns": others * 10**6}
    states = {"computing": 800 * 10**6, "waiting_for_cpu": 200 * 10**6}
    found = read(wall_table(begun=1, ended=1 + 10**9, counts=counts, **states))
    assert wall.evidence(found)["unseen_ms"] == bound
    assert checks(found)["wall_unseen"].ours == 10**9 - bound * 10**6


def test_a_task_that_runs_at_the_end_and_was_not_seen_to_arrive() -> None:
    """For how long nobody knows; it was counted as waiting all the while."""
    table = wall_table(begun=START, ended=STOP, computing=7_000_000, waiting_for_cpu=1_000_000)
    found = read_wall(table, NO_UNITS, NO_ENDS, NO_ENDS, START, STOP, arrivals=1)
    assert found is not None
    evidence = wall.evidence(found)
    assert (evidence["unseen"], evidence["unseen_ms"]) == (1, 1)


def test_wake_ups_on_their_way() -> None:
    table = wall_table(begun=START, ended=STOP, counts={"waking_ns": 2_500_000}, blocked=8)
    assert wall.evidence(read(table), waking=True)["waking_ms"] == 2.5
    assert wall.evidence(read(table))["waking_ms"] is None, "not measured"


def test_what_a_look_at_the_tasks_tells_apart() -> None:
    """Found on a CPU while counted as waiting for one; anything else is a contradiction."""
    fields = (WALL_RUNNABLE, WALL_RUNNING, WALL_BLOCKED, WALL_RUNNABLE)
    found = {tid | field << 32 for tid, field in enumerate(fields, start=7)}
    assert WallLook.of(found) == WallLook(contradicted=2, arrivals=2)
    assert WallLook.of(set()) == WallLook(contradicted=0, arrivals=0)


def test_what_ended_the_time_that_all_were_blocked() -> None:
    """Rows of the other phases are not counted, those of two CPUs are summed, the rest is said."""
    ends = np.array(
        [
            (b"sh", layout.REASON_PAGE_FAULT | WALL_EXECED << PHASE_SHIFT, 2, 300),
            (b"sh", layout.REASON_PAGE_FAULT | WALL_EXECED << PHASE_SHIFT, 1, 200),
            (b"make", layout.REASON_UNKNOWN | WALL_EXECED << PHASE_SHIFT, 1, 400),
            (b"sh", layout.REASON_PAGE_FAULT | WALL_BEGUN << PHASE_SHIFT, 9, 9_000),
            (b"", 0, 0, 0),
        ],
        END_DTYPE,
    )
    table = wall_table(begun=START, execed=START, ended=STOP, blocked=1_000)
    evidence = wall.evidence(read(table, ends=ends))
    assert evidence["blocked_until"] == [
        {"reason": "page_fault", "command": "sh", "ms": 0.0005, "count": 3},
        {"reason": "unknown", "command": "make", "ms": 0.0004, "count": 1},
    ]
    assert evidence["blocked_other_ms"] == 0.0001


def running(table: Any, since: int, state: str = "blocked") -> Any:
    """Have the state that was closed last in the table, of 0 ns, be open."""
    (head,) = table[:WALL_HEAD].view(HEAD_DTYPE)
    head["word"], head["phase_ns"][WALL_ENDED] = WALL_EXECED, 0
    rows = table[WALL_HEAD:].view(ROW_DTYPE)
    rows["ns"][1, WALL_EXECED, NAMES[state]] -= since
    rows["open"][1, WALL_EXECED, NAMES[state]] += 1
    return table


def test_the_states_of_a_run_in_progress() -> None:
    table = wall_table(
        begun=START, execed=2 * START, ended=4 * START, computing=START, blocked=START
    )
    assert so_far(table, STOP) == dict.fromkeys(NAMES, 0) | {
        "computing": START,
        "blocked": START,
    }
    found = so_far(running(table, since=4 * START), STOP)
    assert found is not None
    assert (found["computing"], found["blocked"]) == (START, START + STOP - 4 * START)
    assert sum(found.values()) == STOP - 2 * START


def test_what_metrics_have_shown_is_not_taken_back() -> None:
    """Time that was counted as waiting may turn out to have been computing; the rest goes on."""
    shown = wall_totals({"computing": 10, "waiting_for_cpu": 30})[WALL.name]
    later = wall_totals({"computing": 25, "waiting_for_cpu": 20, "blocked": 5})[WALL.name]
    assert (
        later.not_below(shown)
        == wall_totals({"computing": 25, "waiting_for_cpu": 30, "blocked": 5})[WALL.name]
    )


def test_before_its_exec_nothing_is_known_of_a_run_in_progress() -> None:
    table = wall_table(begun=START, ended=STOP, computing=STOP - START)
    assert so_far(table, STOP) is None


@pytest.mark.parametrize("torn", range(1, 4))
def test_a_change_of_the_state_that_was_read_in_part(torn: int) -> None:
    """The kernel side writes four numbers, one after the other, as the state changes."""
    table = wall_table(
        begun=START, execed=2 * START, ended=4 * START, computing=START, blocked=START
    )
    row = running(table, since=4 * START)[WALL_HEAD:].view(ROW_DTYPE)[0]
    changed = 5 * START
    steps = [
        ("ns", "blocked", changed),
        ("ns", "computing", -changed),
        ("open", "blocked", -1),
        ("open", "computing", 1),
    ]
    assert so_far(table, STOP) is not None
    for field, state, by in steps[:torn]:
        row[field][WALL_EXECED, NAMES[state]] += by
    assert so_far(table, STOP) is None
    for field, state, by in steps[torn:]:
        row[field][WALL_EXECED, NAMES[state]] += by
    found = so_far(table, STOP)
    assert found is not None
    assert found["computing"] == START + STOP - changed


def test_which_commands_had_the_cpu() -> None:
    """Their sum and the rest make up the wait for busy CPUs."""
    rows = [
        (b"make", WALL_EXECED << PHASE_SHIFT, 2, 300),
        (b"cc1", WALL_EXECED << PHASE_SHIFT, 1, 400),
        (b"make", WALL_EXECED << PHASE_SHIFT, 1, 200),
        (b"make", WALL_BEGUN << PHASE_SHIFT, 9, 9_000),
    ]
    table = wall_table(begun=START, execed=START, ended=STOP, waiting_for_cpu=1_000)
    evidence = wall.evidence(read(table, cpus_of=np.array(rows, END_DTYPE)))
    assert evidence["for_busy_cpu_of"] == [
        {"command": "make", "ms": 0.0005, "count": 3},
        {"command": "cc1", "ms": 0.0004, "count": 1},
    ]
    assert evidence["for_busy_cpu_ms"] == 0.001
    assert (evidence["for_busy_cpu_other_ms"], evidence["for_busy_cpu_excess_ms"]) == (0.0001, 0)


def test_waits_that_ended_unseen_leave_their_rows_too_long() -> None:
    """What such a task did since is no waiting, but only the row of its next switch knows of it."""
    rows = [(b"make", WALL_EXECED << PHASE_SHIFT, 2, 1_300)]
    table = wall_table(begun=START, execed=START, ended=STOP, waiting_for_cpu=1_000)
    evidence = wall.evidence(read(table, cpus_of=np.array(rows, END_DTYPE)))
    assert (evidence["for_busy_cpu_other_ms"], evidence["for_busy_cpu_excess_ms"]) == (0, 0.0003)


@pytest.mark.parametrize(
    ("scoped", "wanted", "armed", "no_wall", "reason"),
    [
        (False, True, True, "", wall.OF_THE_WHOLE_MACHINE),
        (True, False, True, "", wall.SWITCHED_OFF),
        (True, True, False, "", wall.WITHOUT_OFFCPU),
        (True, True, True, "no atomics", "no atomics"),
        (True, True, True, "", ""),
    ],
)
def test_why_there_is_none(
    scoped: bool, wanted: bool, armed: bool, no_wall: str, reason: str
) -> None:
    assert wall.lacking(scoped, wanted, armed, no_wall) == reason
