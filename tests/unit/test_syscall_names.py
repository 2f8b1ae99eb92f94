"""Names of syscalls by number, held against what this machine's own libraries say."""

import ctypes
import ctypes.util
import platform
import re
from pathlib import Path

import pytest

from agent.sections.syscall_counts.layout import COUNTED as COUNTED_SYSCALLS
from agent.sections.syscall_counts.layout import SYSCALL_COMPAT
from agent.streams.shared.syscall_names import TABLES, syscall_names

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")

# AUDIT_ARCH_* of include/uapi/linux/audit.h, which is what libseccomp calls a token.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}


def test_against_the_kernels_header() -> None:
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}")
    defined = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    assert len(defined) > 300
    names = syscall_names("x86_64")
    assert {int(number): name for name, number in defined}.items() <= names.items()


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_against_libseccomp(machine: str) -> None:
    path = ctypes.util.find_library("seccomp")
    if path is None:
        pytest.skip("no libseccomp")
    library = ctypes.CDLL(path)
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    ours = syscall_names(machine)
    known = {}
    for number in ours:
        name = library.seccomp_syscall_resolve_num_arch(ARCHITECTURES[machine], number)
        if name:
            known[number] = ctypes.string_at(name).decode()
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
