"""By how much figures may fall short for programs that the kernel skipped."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest

from agent.evidence.skipped import MISSING, skipped
from agent.streams.shared import bpf, specs
from agent.streams.supervisor.armed import Armed
from agent.streams.supervisor.compilation import Built


def told(**misses: int) -> list[str]:
    names = {hook.replace("__2", "/2"): count for hook, count in misses.items()}
    return list(skipped([{"hook": h, "recursion_misses": n} for h, n in names.items()]))


def test_nothing_is_said_of_programs_that_were_not_skipped() -> None:
    assert told(sched_switch=0, sys_enter=0) == []


@pytest.mark.parametrize(
    ("hook", "count", "text"),
    [
        (
            "sys_enter",
            148,
            "sys_enter: skipped 148 times by the kernel; missing: up to 148 calls in"
            " syscall_counts",
        ),
        (
            "sched_process_exit",
            1,
            "sched_process_exit: skipped 1 time by the kernel; missing: up to 1 exit in tasks",
        ),
        ("block_rq_issue", 2, "block_rq_issue: skipped 2 times by the kernel"),
    ],
)
def test_so_much_may_be_missing(hook: str, count: int, text: str) -> None:
    assert told(**{hook: count}) == [text]


@pytest.mark.parametrize(
    ("first", "second", "lost"), [(3, 0, 0), (0, 5, 0), (3, 1, 1), (2, 2, 2), (1, 9, 1)]
)
def test_an_event_is_lost_only_if_both_programs_were_skipped(
    first: int, second: int, lost: int
) -> None:
    found = told(task_newtask=first, task_newtask__2=second)
    assert len(found) == bool(lost)
    assert all(f"up to {lost} task" in text for text in found)


def test_a_second_program_that_was_not_attached_makes_up_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    misses = iter([0, 0, 3])  # of both before the run, of the one that was attached after it
    monkeypatch.setattr(
        bpf, "program_info", lambda _: SimpleNamespace(recursion_misses=next(misses))
    )
    programs = (("cba_a", "task_newtask", 1), ("cba_b", "task_newtask/2", 2))
    armed = Armed(Built(programs, {}, ""))
    armed.refused["task_newtask/2"] = "No space left on device"
    [text] = skipped([asdict(program) for program in armed.program_stats()])
    assert "up to 3 tasks" in text


def test_each_tracepoint_with_a_second_program_says_what_is_missing() -> None:
    second = [program for program in specs.BASE_PROGRAMS if program.is_second]
    assert {p.tracepoint for p in second} == {
        "task_newtask",
        "sched_process_exit",
        "sched_process_exec",
    }
    assert {p.tracepoint for p in second} <= MISSING.keys()
    assert MISSING.keys() <= {p.hook for p in specs.PROGRAMS}


def test_of_every_other_tracepoint_it_is_known_that_nothing_is_missing() -> None:
    """A new one belongs in `MISSING`, or here if something makes up for its program."""
    made_up_for = {
        *("block_rq_issue", "block_rq_requeue", "block_io_start", "block_bio_queue"),
        *("cgroup_attach_task", "cgroup_rmdir", "cgroup_mkdir", "sched_waking"),
    }
    attached = {p.tracepoint for p in specs.PROGRAMS if not p.iterates}
    assert attached - MISSING.keys() == made_up_for


def test_the_second_program_follows_the_first() -> None:
    """The kernel runs them in this order, and the first one leaves a mark for the second."""
    order = [p.hook for p in specs.programs_for(("exec",), {"SECOND_PROGRAMS": 1, **_off()})]
    for program in specs.BASE_PROGRAMS:
        if program.is_second:
            assert order.index(program.tracepoint) < order.index(program.hook)
    assert not [h for h in _without_second() if h.endswith("/2")]


def _off() -> dict[str, int]:
    return dict.fromkeys(specs.DETAIL_SWITCHES.values(), 0)


def _without_second() -> list[str]:
    return [program.hook for program in specs.programs_for(("exec",), _off())]
