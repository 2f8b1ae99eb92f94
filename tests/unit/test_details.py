"""Details of a run: which may be asked for, what is compiled for them, how they are read."""

import os

import numpy as np
import pytest
from fakes.collector import FakeCollector
from numpy.typing import NDArray

from agent import evidence
from agent.collection import Collection
from agent.errors import InvalidRequest
from agent.http.validation import parse_start
from agent.model import DETAILS, SECTIONS
from agent.streams import specs
from agent.streams.details import DETAILS_DTYPE, ENTRY_DTYPE, DetailTables
from agent.streams.layout import ENTRY_PRIMED, Geometry
from agent.streams.observed import Details, SyscallTimes
from agent.streams.plan import Plan

GEOMETRY = Geometry(cpus=2, slots=8, members=8, ring_bytes=4096)
READ, OPENAT = 0, 257


def file_of(array: NDArray[np.void]) -> int:
    fd = os.memfd_create("table")
    os.write(fd, array.tobytes())
    return fd


def observed(details: tuple[str, ...], *, with_primed: bool) -> Details:
    """Read at 1,000 ns, of two CPUs and two tasks that are in a call."""
    counters = np.zeros(GEOMETRY.cpus, DETAILS_DTYPE)
    counters["syscalls"][0, READ] = (100, 3, 1, 1)
    counters["syscalls"][1, READ] = (50, 2, 1, 0)
    counters["exec_failures"][0, 2] = 4
    counters["exec_failures"][1, 2] = 1
    counters["exec_failures"][1, 0] = 1
    counters["syscalls_in_flight"][1] = 1
    entries = np.zeros(GEOMETRY.slots, ENTRY_DTYPE)
    entries[1] = (400, 1, READ)
    entries[2] = (0, 2, READ)
    entries[3] = (100, 3, OPENAT | ENTRY_PRIMED)
    given = {"details": counters, "entries": entries}
    wanted = GEOMETRY.detail_sizes(details)
    fds = {name: file_of(given[name]) for name in wanted}
    return DetailTables(fds, wanted, details).observed(
        1_000, with_primed, {READ: "read", OPENAT: "openat"}.__getitem__
    )


def test_calls_that_returned_and_those_that_are_open_are_added_up() -> None:
    details = observed(("syscalls",), with_primed=True)
    assert details.syscalls == {
        "read": SyscallTimes(ns=150 + 600, errors=2, interrupted=1, in_flight=1),
        "openat": SyscallTimes(ns=900, errors=0, interrupted=0, in_flight=1),
    }
    assert details.exec_failures is None
    stream = details.streams["syscalls"]
    assert (stream.received, stream.in_flight_at_start, stream.in_flight_at_stop) == (5, 1, 2)


def test_of_the_whole_machine_who_never_returned_does_not_count() -> None:
    details = observed(("syscalls",), with_primed=False)
    assert details.syscalls is not None
    assert details.syscalls.keys() == {"read"}


def test_failed_execs_have_the_names_of_their_errors() -> None:
    details = observed(("exec_failures",), with_primed=True)
    assert details.exec_failures == {"ENOENT": 5, "other": 1}
    assert details.syscalls is None
    assert not details.streams


async def test_evidence_shows_what_was_asked_for_and_nothing_else() -> None:
    collector = FakeCollector()
    await collector.start(parse_start({}), lambda stream, words: None)
    plain = await collector.refresh()
    assert "syscall_details" not in evidence.sections(Collection(), plain, SECTIONS)
    assert "failures" not in evidence.sections(Collection(), plain, SECTIONS)["exec"]

    times = {"futex": SyscallTimes(10**6, 1, 2, 3), "read": SyscallTimes(2 * 10**6, 0, 0, 0)}
    detailed = type(plain)(
        blocked=plain.blocked,
        syscalls={"futex": 7},
        streams=plain.streams,
        blocked_counts=plain.blocked_counts,
        counters=plain.counters,
        drains=0,
        drain_seconds=0.0,
        details=Details(times, {"ENOENT": 1}),
    )
    built = evidence.sections(Collection(), detailed, SECTIONS)
    assert list(built["syscall_details"]) == ["read", "futex"]
    assert built["syscall_details"]["futex"] == {
        "count": 7,
        "errors": 1,
        "interrupted": 2,
        "in_flight": 3,
        "total_ms": 1.0,
    }
    assert built["exec"]["failures"] == {"ENOENT": 1}
    assert built["syscall_counts"]["all"] == {"futex": 7}


def test_without_details_no_program_and_no_table_is_theirs() -> None:
    plain, detailed = Plan(), Plan(details=tuple(DETAILS))
    hooks = [p.hook for p in specs.programs_for(plain.sections, plain.constants())]
    assert "sys_exit" not in hooks
    more = [p.hook for p in specs.programs_for(detailed.sections, detailed.constants())]
    assert set(more) - set(hooks) == {"sys_exit"}
    assert GEOMETRY.detail_sizes(()) == {}


def test_a_plan_takes_no_detail_that_it_does_not_know_or_has_no_section_for() -> None:
    message = Plan(sections=("exec",)).message() | {"details": ["syscalls", "exec_failures", "no"]}
    assert Plan.of({"plan": message}).details == ("exec_failures",)


def test_details_are_taken_in_one_order_and_once() -> None:
    names = ["exec_failures", "syscalls", "syscalls"]
    assert parse_start({"details": names}).details == ("syscalls", "exec_failures")
    assert parse_start({"details": []}).details == parse_start({}).details == ()


@pytest.mark.parametrize(
    "body",
    [
        {"details": "syscalls"},
        {"details": ["no"]},
        {"details": [1]},
        {"details": [["syscalls"]]},
        {"details": {"syscalls": True}},
        {"details": None},
        {"details": ["syscalls"], "sections": ["runqlat"]},
    ],
    ids=repr,
)
def test_other_details_are_refused_by_name(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_start(body)
    assert refusal.value.field == "details"
