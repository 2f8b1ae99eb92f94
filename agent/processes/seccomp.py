"""A seccomp filter of the serving process's own: calls that it never makes, and never may.

It has no privilege to lose by then. What the filter takes away is what somebody who has got hold of
this process would try next: run another program, trace the user's other processes, or reach for the
part of the kernel that the supervisor alone is to reach (bpf, perf_event_open). The calls fail with
EPERM; the process goes on.

The kernel offers this to processes without privileges that have set ``no_new_privs`` (seccomp(2)).
The filter is classic BPF over struct seccomp_data: a machine's architecture token and the call's
number, both of which differ from machine to machine. On a machine that is not listed there is no
filter, and a line says so.
"""

import ctypes
import errno
import os
import sys
from dataclasses import dataclass
from typing import NamedTuple

from agent.streams.shared.machines import MACHINES, machine_name

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


@dataclass(frozen=True)
class Calls:
    """Numbers of one machine, apart from those that `MACHINES` has."""

    architecture: int
    """AUDIT_ARCH_* of include/uapi/linux/audit.h."""
    seccomp: int
    execve: int
    execveat: int
    ptrace: int
    others_from: int | None = None
    """Where a second set of numbers for the same calls begins, if there is one."""


def _generic(architecture: int) -> Calls:
    return Calls(architecture, seccomp=277, execve=221, execveat=281, ptrace=117)


CALLS = {
    "x86_64": Calls(0xC000_003E, seccomp=317, execve=59, execveat=322, ptrace=101, others_from=X32),
    "aarch64": _generic(0xC000_00B7),
    "riscv64": _generic(0xC000_00F3),
    "loongarch64": _generic(0xC000_0102),
    "ppc64le": Calls(0xC000_0015, seccomp=358, execve=11, execveat=362, ptrace=26),
    "s390x": Calls(0x8000_0016, seccomp=348, execve=11, execveat=354, ptrace=26),
}
"""Keyed as `MACHINES` is. ``tests/unit/test_seccomp.py`` holds them to libseccomp."""


class Step(NamedTuple):
    """One instruction (struct sock_filter); jumps are relative to the next one."""

    code: int
    if_true: int
    if_false: int
    value: int


def refused_numbers(machine: str) -> list[int]:
    """Return the numbers of the calls that are refused on a machine. Raises KeyError."""
    calls, others = CALLS[machine], MACHINES[machine]
    return [others.bpf, others.perf_event_open, calls.execve, calls.execveat, calls.ptrace]


def program(machine: str) -> list[Step]:
    """Return the filter for a machine. Raises KeyError.

    A call by another architecture's numbers, as 32-bit code makes them, is refused whatever it is:
    the same number means something else there.
    """
    tests = [Step(IF_EQUAL, 0, 0, number) for number in refused_numbers(machine)]
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


def install() -> str | None:
    """Refuse the calls to all threads of this process, for good; return why not, or None.

    Needs ``no_new_privs``.
    """
    machine = machine_name()
    if sys.platform != "linux" or machine not in CALLS:
        return f"none is known for {machine} on {sys.platform}"
    steps = program(machine)
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    filtering = _Program(len(steps), instructions)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    refused = syscall(
        ctypes.c_long(CALLS[machine].seccomp),
        ctypes.c_ulong(SET_MODE_FILTER),
        ctypes.c_ulong(ALL_THREADS | SPECULATION_ALLOWED),
        ctypes.byref(filtering),
    )
    if refused < 0:
        return os.strerror(ctypes.get_errno())
    return f"thread {refused} has one that differs" if refused else None
