"""The filter of the serving process: its numbers, what it lets through, and what it refuses here.

That the process which serves has it: tests/kernel/test_privileges.py.
"""

import ctypes
import errno
import itertools
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.libseccomp import ARCHITECTURES, libseccomp, name_of

from agent import call_filter
from agent.call_filter import ALLOW, CALLS, REFUSE, X32, Step
from agent.client.isolation import PACKAGE_FOLDER
from agent.processes import seccomp
from agent.processes.seccomp import refused_numbers
from agent.streams.shared.machines import MACHINES
from agent.streams.shared.syscall_names import syscall_names

CHILDREN = {"fork", "clone", "vfork", "clone3"}
REFUSED = ["bpf", "perf_event_open", "execve", "execveat", "ptrace"]


def test_every_listed_machine_has_a_filter() -> None:
    assert CALLS.keys() == MACHINES.keys()


@pytest.mark.parametrize("machine", [name for name, m in MACHINES.items() if m.syscalls])
def test_numbers_are_those_of_the_table_of_names(machine: str) -> None:
    names = syscall_names(machine)
    assert [names[number] for number in refused_numbers(machine)] == REFUSED
    assert {names[number] for number in CALLS[machine].children} == CHILDREN & set(names.values())
    assert names[CALLS[machine].seccomp] == "seccomp"


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_numbers_are_libseccomps(machine: str) -> None:
    library = libseccomp()
    assert [name_of(library, machine, n) for n in refused_numbers(machine)] == REFUSED
    children = {name_of(library, machine, n) for n in CALLS[machine].children}
    assert {"clone", "clone3"} <= children <= CHILDREN
    assert len(children) == len(CALLS[machine].children)
    assert name_of(library, machine, CALLS[machine].seccomp) == "seccomp"
    assert CALLS[machine].architecture == ARCHITECTURES[machine]


def program(machine: str) -> list[Step]:
    return call_filter.program(machine, refused_numbers(machine))


def carried_out(steps: list[Step], architecture: int, number: int) -> int:
    """Return what a filter answers, as the kernel carries it out (Documentation/bpf)."""
    words = {call_filter.NUMBER_AT: number, call_filter.ARCHITECTURE_AT: architecture}
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == call_filter.RETURN:
            return value
        if code == call_filter.LOAD_WORD:
            loaded = words[value]
        else:
            holds = loaded == value if code == call_filter.IF_EQUAL else loaded >= value
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", CALLS)
def test_exactly_these_calls_are_refused(machine: str) -> None:
    steps, refused = program(machine), set(refused_numbers(machine))
    for number in range(600):
        answer = REFUSE if number in refused else ALLOW
        assert carried_out(steps, CALLS[machine].architecture, number) == answer, number


@pytest.mark.parametrize("machine", CALLS)
def test_calls_of_another_architecture_are_refused(machine: str) -> None:
    others = {calls.architecture for calls in CALLS.values()} | {0x4000_0003}  # i386
    for other, number in itertools.product(others - {CALLS[machine].architecture}, range(600)):
        assert carried_out(program(machine), other, number) == REFUSE


def test_the_second_set_of_numbers_of_x86_is_refused() -> None:
    """There, ptrace and execve have numbers of their own (0x40000000 + 521 and 520)."""
    for number in (X32, X32 + 520, X32 + 521, X32 + 59):
        assert carried_out(program("x86_64"), CALLS["x86_64"].architecture, number) == REFUSE


TRIES = """
import ctypes, os, sys, threading
sys.path.append(sys.argv[1])
from agent.processes import seccomp
from agent.streams.shared.machines import machine_name

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
go, told = threading.Event(), []

def try_all():
    go.wait()
    for number in seccomp.refused_numbers(machine_name()):
        libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 5)
        told.append(ctypes.get_errno())

older = threading.Thread(target=try_all)
older.start()
libc.prctl(38, 1, 0, 0, 0)
assert seccomp.install() is None
go.set()
older.join()
try_all()
print(*told)
try:
    os.execv("/bin/true", ["true"])
except PermissionError:
    print("no exec")
"""


@pytest.mark.skipif(platform.machine() not in CALLS, reason="no filter for this machine")
def test_the_kernel_refuses_them_to_every_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", TRIES, PACKAGE_FOLDER],
        capture_output=True,
        text=True,
        check=True,
    )
    errors, last = done.stdout.splitlines()
    assert errors.split() == [str(errno.EPERM)] * 2 * len(REFUSED)
    assert last == "no exec"


def test_an_unknown_machine_has_none_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    monkeypatch.delattr(ctypes, "CDLL")
    assert seccomp.install() == "none is known for vax on linux"


AS_NOBODY = """
import os, sys
sys.path.append(sys.argv[1])
from agent.processes import seccomp

if os.geteuid() == 0:
    os.setuid(65534)
print(seccomp.install())
"""


@pytest.mark.skipif(platform.machine() not in CALLS, reason="no filter for this machine")
def test_where_the_kernel_refuses_the_filter_its_word_is_passed_on() -> None:
    """Without no_new_privs only a privileged process may have one."""
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        pytest.skip("this process, and what it starts, has no_new_privs")
    command = [sys.executable, "-I", "-c", AS_NOBODY, PACKAGE_FOLDER]
    assert subprocess.check_output(command, text=True).strip() == os.strerror(errno.EACCES)
