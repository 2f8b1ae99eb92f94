"""A seccomp filter of a process's own: calls that it never makes, and never may.

They fail with EPERM; the process goes on, and what it executes has the filter too.

The kernel offers this to processes without privileges that have set ``no_new_privs`` (seccomp(2)).
The filter is classic BPF over struct seccomp_data: a machine's architecture token and the call's
number, both of which differ from machine to machine. On a machine that is not listed there is no
filter. Standard library only.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Collection
from typing import NamedTuple

SET_MODE_FILTER = 1
ALL_THREADS, SPECULATION_ALLOWED = 1 << 0, 1 << 2
"""SECCOMP_FILTER_FLAG_TSYNC: numpy's threads are older than the filter. _SPEC_ALLOW: before 5.16
the kernel would otherwise switch speculative stores off for the process, which slows it down and
protects secrets of an address space that holds none."""
REFUSE, ALLOW = 0x0005_0000 | errno.EPERM, 0x7FFF_0000
"""SECCOMP_RET_ERRNO with the error, SECCOMP_RET_ALLOW."""
LOAD_WORD, IF_EQUAL, IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ and | BPF_JGE with BPF_K, BPF_RET | BPF_K."""
NUMBER_AT, ARCHITECTURE_AT = 0, 4
X32 = 0x4000_0000
"""__X32_SYSCALL_BIT of arch/x86/include/uapi/asm/unistd.h."""


class Calls(NamedTuple):
    """Numbers of one machine."""

    architecture: int
    """AUDIT_ARCH_* of include/uapi/linux/audit.h."""
    seccomp: int
    execve: int
    execveat: int
    ptrace: int
    children: tuple[int, ...]
    """What makes processes and threads: clone, clone3, and fork and vfork where there are any."""
    others_from: int | None = None
    """Where a second set of numbers for the same calls begins, if there is one."""


def _generic(architecture: int) -> Calls:
    return Calls(
        architecture, seccomp=277, execve=221, execveat=281, ptrace=117, children=(220, 435)
    )


CALLS = {
    "x86_64": Calls(
        0xC000_003E,
        seccomp=317,
        execve=59,
        execveat=322,
        ptrace=101,
        children=(57, 56, 58, 435),
        others_from=X32,
    ),
    "aarch64": _generic(0xC000_00B7),
    "riscv64": _generic(0xC000_00F3),
    "loongarch64": _generic(0xC000_0102),
    "ppc64le": Calls(
        0xC000_0015, seccomp=358, execve=11, execveat=362, ptrace=26, children=(2, 120, 189, 435)
    ),
    "s390x": Calls(
        0x8000_0016, seccomp=348, execve=11, execveat=354, ptrace=26, children=(2, 120, 190, 435)
    ),
}
"""Keyed as ``MACHINES`` of `agent.streams.shared.machines`. ``tests/unit/test_seccomp.py`` holds
them to libseccomp."""


class Step(NamedTuple):
    """One instruction (struct sock_filter); jumps are relative to the next one."""

    code: int
    if_true: int
    if_false: int
    value: int


def program(machine: str, refused: Collection[int]) -> list[Step]:
    """Return the filter that refuses the calls of these numbers on a machine. Raises KeyError.

    A call by another architecture's numbers, as 32-bit code makes them, is refused whatever it is:
    the same number means something else there.
    """
    tests = [Step(IF_EQUAL, 0, 0, number) for number in refused]
    if (others := CALLS[machine].others_from) is not None:
        tests.append(Step(IF_AT_LEAST, 0, 0, others))
    # a test that holds jumps over those that follow it, and over ALLOW
    jumps = [test._replace(if_true=len(tests) - at) for at, test in enumerate(tests)]
    return [
        Step(LOAD_WORD, 0, 0, ARCHITECTURE_AT),
        Step(IF_EQUAL, 0, len(tests) + 2, CALLS[machine].architecture),
        Step(LOAD_WORD, 0, 0, NUMBER_AT),
        *jumps,
        Step(RETURN, 0, 0, ALLOW),
        Step(RETURN, 0, 0, REFUSE),
    ]


class _Instruction(ctypes.Structure):
    """``struct sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Instruction)))


def install(machine: str, refused: Collection[int]) -> str | None:
    """Refuse the calls to all threads of this process, for good; return why not, or None.

    Needs ``no_new_privs``, or privileges.
    """
    if sys.platform != "linux" or machine not in CALLS:
        return f"none is known for {machine} on {sys.platform}"
    steps = program(machine, refused)
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    filtering = _Program(len(steps), instructions)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    failed = syscall(
        ctypes.c_long(CALLS[machine].seccomp),
        ctypes.c_ulong(SET_MODE_FILTER),
        ctypes.c_ulong(ALL_THREADS | SPECULATION_ALLOWED),
        ctypes.byref(filtering),
    )
    if failed < 0:
        return os.strerror(ctypes.get_errno())
    return f"thread {failed} has one that differs" if failed else None
