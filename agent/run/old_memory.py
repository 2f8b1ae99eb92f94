"""What a fork leaves at its exec: its parent's memory, which is not to be cleared away meanwhile.

At an exec the kernel takes down the memory that the process had until then (``exec_mmap`` in
fs/exec.c), page by page: half a millisecond and more for an interpreter, all of it in the command's
time. Only the last process that has this memory does so. Hence another one has it, too, until the
command has ended, as a parent has after vfork(2).
"""

import contextlib
import ctypes
import os
import signal

CLONE_VM, CLONE_PARENT = 0x100, 0x8000
STACK = 1 << 16
ALIGNMENT = 16
"""Of a stack, in bytes, for any processor."""
_UNBUFFERED = 2
"""_IONBF of setvbuf(3), with every C library of Linux."""

_libc = ctypes.CDLL(None)
_in_use: list[object] = []
"""The keeper's stack: nothing else may get this memory before the exec. The keeper is on it until
it ends."""


def share(lifeline: int) -> int:
    """Start a process that has this one's memory, and return its pid; 0 if there can be none.

    It is a child of this process's parent, and ends at the end of the file ``lifeline``, or by
    SIGKILL. Nothing of Python runs in it, for that would change the memory of this process: it is
    in fgetc(3) all the time. To be called in a fork, shortly before its exec.
    """
    if not hasattr(_libc, "clone"):
        return 0
    _libc.fdopen.restype = ctypes.c_void_p
    address = _libc.fdopen(lifeline, b"r")
    if not address:
        return 0
    file = ctypes.c_void_p(address)
    _libc.setvbuf(file, None, _UNBUFFERED, ctypes.c_size_t(0))  # it shall not allocate anything
    stack = ctypes.create_string_buffer(STACK)
    _in_use.append(stack)
    top = (ctypes.addressof(stack) + STACK) & -ALIGNMENT
    flags = CLONE_VM | CLONE_PARENT | signal.SIGCHLD
    reads = ctypes.cast(_libc.fgetc, ctypes.c_void_p)
    return max(int(_libc.clone(reads, ctypes.c_void_p(top), flags, file)), 0)


def give_back(process: int, lifeline: int) -> None:
    """End the process that `share` has started as a child of this one.

    ``lifeline`` is the end to write to: without CAP_KILL another user's process cannot be killed,
    but what it waits for can come.
    """
    with contextlib.suppress(ChildProcessError):  # it was ended by others, and waited for
        if not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            with contextlib.suppress(BrokenPipeError):
                os.write(lifeline, b"!")
            with contextlib.suppress(PermissionError):
                os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
