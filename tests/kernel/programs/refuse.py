"""A launcher of a command for which the kernel refuses one syscall, as a container's filter would.

refuse.py NUMBER COMMAND...
"""

import ctypes
import errno
import os
import sys

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


def refuse(number: int) -> None:
    instructions = (Instruction * 4)(
        Instruction(LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
        Instruction(JUMP_IF_EQUAL, 0, 1, number),
        Instruction(RETURN, 0, 0, RETURN_ERRNO | errno.EPERM),
        Instruction(RETURN, 0, 0, RETURN_ALLOW),
    )
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")


refuse(int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
