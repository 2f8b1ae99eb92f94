"""Seccomp filters that refuse syscalls by number, as a container's filter would."""

import ctypes
import errno

# From the kernel's prctl.h, seccomp.h, filter.h and bpf_common.h.
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
RETURN_ERRNO, RETURN_ALLOW = 0x0005_0000, 0x7FFF_0000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


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
    written = [Instruction(LOAD_WORD, 0, 0, 0)]  # seccomp_data.nr
    for number in numbers:
        written.append(Instruction(JUMP_IF_EQUAL, 0, 1, number))
        written.append(Instruction(RETURN, 0, 0, RETURN_ERRNO | errno.EPERM))
    written.append(Instruction(RETURN, 0, 0, RETURN_ALLOW))
    instructions = (Instruction * len(written))(*written)
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")
