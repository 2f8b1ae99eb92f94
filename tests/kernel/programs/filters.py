"""Seccomp filters that refuse syscalls by number, as a container's filter would."""

import ctypes
import errno
import sys
from collections.abc import Iterable

# From the kernel's prctl.h, seccomp.h, filter.h and bpf_common.h.
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
RETURN_ERRNO, RETURN_ALLOW = 0x0005_0000, 0x7FFF_0000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT = 0
FIRST_ARGUMENT_AT = 16 if sys.byteorder == "little" else 20
"""Where struct seccomp_data has the call's number, and the low half of its first argument."""


class Instruction(ctypes.Structure):
    """``struct sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction)))


def refuse(*numbers: int) -> None:
    """Have the kernel refuse these syscalls to this thread from now on, with EPERM."""
    _install(line for number in numbers for line in _refused_if_equal(number, errno.EPERM))


def refuse_command(number: int, command: int) -> None:
    """Have the kernel refuse a syscall if its first argument is this one, with EPERM."""
    _install(
        [
            Instruction(JUMP_IF_EQUAL, 0, 3, number),
            Instruction(LOAD_WORD, 0, 0, FIRST_ARGUMENT_AT),
            *_refused_if_equal(command, errno.EPERM),
        ]
    )


def hide(number: int) -> None:
    """Have the kernel deny that it has a syscall, with ENOSYS."""
    _install(_refused_if_equal(number, errno.ENOSYS))


def _refused_if_equal(value: int, code: int) -> list[Instruction]:
    return [
        Instruction(JUMP_IF_EQUAL, 0, 1, value),
        Instruction(RETURN, 0, 0, RETURN_ERRNO | code),
    ]


def _install(rules: Iterable[Instruction]) -> None:
    """Install a filter that begins with the call's number and ends by allowing the call."""
    number, allow = Instruction(LOAD_WORD, 0, 0, NUMBER_AT), Instruction(RETURN, 0, 0, RETURN_ALLOW)
    written = [number, *rules, allow]
    instructions = (Instruction * len(written))(*written)
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")
