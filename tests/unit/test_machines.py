"""Each machine's syscall numbers, compared with its table of names and with libseccomp."""

import errno
import platform

import pytest
from fakes.libseccomp import ARCHITECTURES, libseccomp, name_of

from agent.streams.drain import ordering
from agent.streams.shared import bpf
from agent.streams.shared.machines import MACHINES, Machine
from agent.streams.shared.syscall_names import syscall_names
from agent.streams.supervisor import perf_events


def by_name(machine: Machine) -> dict[str, int]:
    calls = ("bpf", "perf_event_open", "membarrier")
    return {call: getattr(machine, call) for call in calls}


@pytest.mark.parametrize("machine", [name for name, m in MACHINES.items() if m.syscalls])
def test_numbers_are_positions_in_the_table_of_names(machine: str) -> None:
    names, numbers = syscall_names(machine), by_name(MACHINES[machine])
    assert {call: names.get(number) for call, number in numbers.items()} == {c: c for c in numbers}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_numbers_are_libseccomps(machine: str) -> None:
    """libseccomp is the only source here for ppc64le and s390x, which have no table of names."""
    library, numbers = libseccomp(), by_name(MACHINES[machine])
    known = {call: name_of(library, machine, number) for call, number in numbers.items()}
    assert known == {call: call for call in numbers}


def test_every_machine_is_held_against_something() -> None:
    assert {name for name, m in MACHINES.items() if not m.syscalls} <= ARCHITECTURES.keys()


@pytest.mark.parametrize(
    ("machine", "fenced"),
    [("x86_64", False), ("s390x", False), ("loongarch64", True), ("vax", True)],
)
def test_where_loads_need_a_fence(
    machine: str, fenced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    loaded: list[str] = []
    monkeypatch.setattr(ordering.ctypes, "CDLL", loaded.append)
    ordering.acquire_fence()
    assert bool(loaded) == fenced


def test_elsewhere_than_on_linux_nothing_needs_a_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.delattr(ordering.ctypes, "CDLL")
    ordering.acquire_fence()()


@pytest.mark.parametrize(
    ("elsewhere", "here"), [("arm64", "aarch64"), ("amd64", "x86_64"), ("AMD64", "x86_64")]
)
def test_syscalls_have_names_where_the_machine_has_another_one(
    elsewhere: str, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: elsewhere)
    assert syscall_names() == syscall_names(here) != {}


def test_an_unknown_machine_has_no_bpf_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(OSError, match="vax") as refused:
        bpf.create_map("m", bpf.MAP_TYPE_ARRAY, key=4, value=4)
    assert refused.value.errno == errno.ENOSYS
    with pytest.raises(OSError, match="vax") as refused:
        perf_events.open_output(0, 0, 1)
    assert refused.value.errno == errno.ENOSYS
