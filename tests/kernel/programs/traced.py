"""A workload whose child computes, and is traced and held by its parent for a while.

An order is the number of seconds; the answer says for how long the child was held.
"""

import ctypes
import os
import signal
import time

from protocol import say, wait

# include/uapi/linux/ptrace.h
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
LIBC = ctypes.CDLL(None, use_errno=True)


def ptrace(request: int, pid: int) -> None:
    if LIBC.ptrace(request, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def hold(seconds: float) -> float:
    """Return how long the child was held, in ms: no less than this, and hardly more."""
    child = os.fork()
    while child == 0:
        pass
    ptrace(PTRACE_ATTACH, child)
    os.waitpid(child, 0)
    began = time.monotonic_ns()
    time.sleep(seconds)
    held = time.monotonic_ns() - began
    ptrace(PTRACE_DETACH, child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return held / 1e6


def main() -> None:
    say()
    while True:
        say(ms=hold(float(wait())))


main()
