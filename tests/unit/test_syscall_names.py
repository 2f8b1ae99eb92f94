"""Syscall names by number, compared with this machine's kernel header and libseccomp."""

import platform
import re
from pathlib import Path

import pytest
from fakes.libseccomp import ARCHITECTURES, libseccomp, name_of

from agent.sections.syscall_counts.layout import COUNTED as COUNTED_SYSCALLS
from agent.sections.syscall_counts.layout import SYSCALL_COMPAT
from agent.streams.shared.machines import MACHINES
from agent.streams.shared.syscall_names import syscall_names

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
TABLES = [name for name, machine in MACHINES.items() if machine.syscalls]


def test_against_the_kernels_header() -> None:
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}")
    defined = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    assert len(defined) > 300
    names = syscall_names("x86_64")
    assert {int(number): name for name, number in defined}.items() <= names.items()


@pytest.mark.parametrize("machine", [name for name in TABLES if name in ARCHITECTURES])
def test_against_libseccomp(machine: str) -> None:
    library, ours = libseccomp(), syscall_names(machine)
    known = {number: name for number in ours if (name := name_of(library, machine, number))}
    assert len(known) > 250
    renamed = {number: (ours[number], name) for number, name in known.items()}
    assert {k: v for k, v in renamed.items() if v[0] != v[1]} == {}


@pytest.mark.parametrize("machine", TABLES)
def test_a_table_names_each_syscall_once_and_has_room(machine: str) -> None:
    names = syscall_names(machine)
    assert len(set(names.values())) == len(names)
    assert set(COUNTED_SYSCALLS) <= set(names.values())
    assert max(names) < SYSCALL_COMPAT


def test_this_machine_is_meant_by_default() -> None:
    assert syscall_names() == syscall_names(platform.machine())


def test_an_unknown_machine_has_numbers_only() -> None:
    assert syscall_names("vax") == {}
