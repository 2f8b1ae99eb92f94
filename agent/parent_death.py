"""End a child when its parent ends. Standard library only, Python 3.9."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def end_with_parent(parent: int, number: int) -> None:
    """Have the kernel send this process the signal ``number`` when its parent ends (prctl(2)).

    Call this between fork and exec, with the parent's pid: if the parent has already ended, it is
    too late for the kernel to notice, and the child ends here. Does nothing where there is no
    prctl. The kernel watches the thread that forked, so let the main thread do that.
    """
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
