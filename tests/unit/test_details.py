"""Details of a run: which can be requested, what is compiled for them, and how they are read."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.collector import FakeCollector, stopped_with
from numpy.typing import NDArray

from agent.errors import InvalidRequest
from agent.http.requests import StartBody
from agent.http.validation import parse
from agent.recording.collection import Collection
from agent.sections.offcpu.wait_functions import (
    TOP_FUNCTIONS,
    WAITS_DTYPE,
    WaitFunctions,
    Waits,
    read_wait_functions,
    rows,
)
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS
from agent.sections.syscall_counts.layout import ENTRY_PRIMED
from agent.sections.syscall_counts.times import (
    ENTRY_DTYPE,
    TIMES_DTYPE,
    SyscallTimes,
    Times,
    read_times,
)
from agent.streams.collect.observed import Observed, WaitStacks
from agent.streams.collect.tables import COUNTERS_DTYPE, Tables
from agent.streams.shared import specs
from agent.streams.shared.layout import Geometry
from agent.streams.shared.plan import Plan
from agent.streams.shared.syscall_names import syscall_names

GEOMETRY = Geometry(cpus=2, slots=8, members=8, ring_bytes=4096)
NUMBERS = {name: number for number, name in syscall_names().items()}
READ, OPENAT, FUTEX, KILL = (NUMBERS[name] for name in ("read", "openat", "futex", "kill"))


def file_of(array: NDArray[np.void] | NDArray[np.uint8]) -> int:
    fd = os.memfd_create("table")
    os.write(fd, array.tobytes())
    return fd


def times(*, with_primed: bool) -> Times:
    """Return times as read at 1,000 ns from two CPUs, with two tasks inside a syscall."""
    counters = np.zeros(GEOMETRY.cpus, TIMES_DTYPE)
    counters["syscalls"][0, READ] = (100, 3, 1, 1, 0)
    counters["syscalls"][1, READ] = (50, 2, 1, 0, 4)
    counters["syscalls"][1, KILL] = (0, 0, 0, 0, 6)
    counters["syscalls_in_flight"][1] = 1
    entries = np.zeros(GEOMETRY.slots, ENTRY_DTYPE)
    entries[1] = (400, 1, READ)
    entries[2] = (0, 2, READ)
    entries[3] = (100, 3, OPENAT | ENTRY_PRIMED)
    return read_times(counters, entries, 1_000, with_primed)


def test_calls_that_returned_and_those_that_are_open_are_added_up() -> None:
    found = times(with_primed=True)
    assert found.syscalls == {
        "read": SyscallTimes(ns=150 + 600, errors=2, interrupted=1, refused=4, in_flight=1),
        "openat": SyscallTimes(ns=900, errors=0, interrupted=0, refused=0, in_flight=1),
        # never entered: refused only
        "kill": SyscallTimes(ns=0, errors=0, interrupted=0, refused=6, in_flight=0),
    }
    counts = found.counts
    assert (counts.received, counts.in_flight_at_start, counts.in_flight_at_stop) == (5, 1, 2)


def test_on_the_whole_machine_a_call_that_never_returned_does_not_count() -> None:
    assert times(with_primed=False).syscalls.keys() == {"read", "kill"}


def test_failed_execs_have_the_names_of_their_errors() -> None:
    counters = np.zeros(GEOMETRY.cpus, COUNTERS_DTYPE)
    counters["exec_failures"][0, 2] = 4
    counters["exec_failures"][1, 2] = 1
    counters["exec_failures"][1, 0] = 1
    counters["exec_failures"][1, 200] = 1
    slots = np.zeros(GEOMETRY.map_sizes()["slots"], np.uint8)
    tables = Tables(file_of(counters), file_of(slots), GEOMETRY)
    assert tables.exec_failures() == {"ENOENT": 5, "other": 1, "errno_200": 1}


def test_waits_are_added_up_by_function_with_those_that_are_open() -> None:
    counters = np.zeros(GEOMETRY.cpus, WAITS_DTYPE)
    counters["sites"][0, 0] = (10, 1)
    counters["sites"][0, 1] = (100, 2)
    counters["sites"][1, 1] = (1_000, 3)
    counters["sites"][1, 5] = (7, 1)
    counters["refused"] = 1
    sites = np.zeros(GEOMETRY.slots, np.uint32)
    sites[3] = 6
    stacks = WaitStacks(
        {"pipe_read": [0], "futex_wait": [4, 5], "of_another_run": [9]},
        np.array([2, 3]),
        np.array([20, 30], np.uint64),
    )
    found = read_wait_functions(counters, sites, stacks)
    assert found.sampled == {"pipe_read": Waits(5, 1_100), "futex_wait": Waits(2, 37)}
    assert found.unsampled == Waits(2, 30)
    assert found.refused == GEOMETRY.cpus


def of_run(made: Observed) -> dict[str, Any]:
    return Collection().evidence(stopped_with(made), DEFAULT_SECTIONS)


async def plain_run() -> Observed:
    collector = FakeCollector()
    await collector.start(StartBody().request(), Collection())
    return await collector.refresh()


def test_the_rows_of_wait_functions_are_bounded() -> None:
    sampled = {f"function_{n:02}": Waits(n, n * 10**6) for n in range(30)}
    waits = WaitFunctions(sampled, Waits(3, 5 * 10**6), 1)
    offcpu = rows(waits)
    listed = offcpu["wait_functions"]
    assert listed[0] == {"function": "function_29", "samples": 29, "ms": 29.0}
    assert len(listed) == TOP_FUNCTIONS
    assert offcpu["wait_functions_other"] == {"samples": sum(range(10)), "ms": sum(range(10))}
    assert offcpu["wait_functions_unsampled"] == {"count": 3, "ms": 5.0, "refused": 1}


async def test_evidence_shows_what_was_asked_for_and_nothing_else() -> None:
    plain = await plain_run()
    assert "syscall_details" not in of_run(plain)
    assert "failures" not in of_run(plain)["exec"]
    assert "attempts" not in Collection().evidence(stopped_with(plain), ["exec"])["exec"]
    assert of_run(replace(plain, syscalls={}))["exec"]["attempts"] == 0

    times = np.zeros(1, TIMES_DTYPE)
    times["syscalls"][0, FUTEX] = (10**6, 1, 1, 2, 5)
    times["syscalls"][0, READ] = (2 * 10**6, 1, 0, 0, 0)
    entries = np.zeros(3, ENTRY_DTYPE)
    entries["since"], entries["number"] = plain.until_ns, FUTEX
    entries["since"] += 1
    detailed = replace(
        plain,
        syscalls={"futex": 7},
        details=("syscalls",),
        tables={
            **plain.tables,
            "syscall_times": times.tobytes(),
            "entries": entries.tobytes(),
        },
        exec_failures={"ENOENT": 1},
        counters={**plain.counters, "execs_not_awaited": 2, "execs_refused": 3},
    )
    built = of_run(detailed)
    assert list(built["syscall_details"]) == ["read", "futex"]
    assert built["syscall_details"]["futex"] == {
        "count": 7,
        "errors": 1,
        "interrupted": 2,
        "refused": 5,
        "in_flight": 3,
        "total_ms": 1.0,
    }
    assert built["exec"]["failures"] == {"ENOENT": 1}
    assert built["exec"]["failures_missed"] == 2
    assert built["exec"]["attempts"] == 3
    assert built["syscall_counts"]["all"] == {"futex": 7}
    assert "wait_functions" not in built["offcpu"]


def test_without_details_none_of_their_programs_and_tables_exists() -> None:
    plain, detailed = Plan(), Plan(details=tuple(DETAILS))
    hooks = [p.hook for p in specs.programs_for(plain.sections, plain.constants())]
    assert "sys_exit" not in hooks
    more = [p.hook for p in specs.programs_for(detailed.sections, detailed.constants())]
    added = {"sys_exit", "block_bio_queue", "block_bio_complete", "sched_waking"}
    assert set(more) - set(hooks) == added
    assert GEOMETRY.detail_sizes(()) == {}


def test_a_plan_takes_no_detail_that_it_does_not_know_or_has_no_section_for() -> None:
    plan = Plan(sections=("exec",), details=("syscalls", "exec_failures", "no"))
    assert plan.possible().details == ("exec_failures",)


def test_a_plan_samples_no_waits_of_the_whole_machine() -> None:
    for scoped in (False, True):
        plan = Plan(scoped=scoped, details=("wait_functions",))
        assert bool(plan.possible().details) == scoped


def details_of(body: dict[str, object]) -> tuple[str, ...]:
    return parse(body, StartBody).request().details


def test_details_are_taken_in_one_order_and_once() -> None:
    names = ["exec_failures", "syscalls", "syscalls"]
    assert details_of({"details": names}) == ("exec_failures", "syscalls")
    for nothing in ({"details": []}, {"details": None}, {}):
        assert details_of(nothing) == ()


@pytest.mark.parametrize(
    "body",
    [
        {"details": "syscalls"},
        {"details": ["no"]},
        {"details": [1]},
        {"details": [["syscalls"]]},
        {"details": {"syscalls": True}},
        {"details": ["syscalls"], "sections": ["runqlat"]},
        {"details": ["wait_functions"]},
        {"details": ["wait_functions"], "scope": "system"},
        {"details": ["wait_functions"], "sections": ["runqlat"], "scope": "caller"},
    ],
    ids=repr,
)
def test_other_details_are_refused_by_name(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        details_of(body)
    assert refusal.value.field == "details"
