"""Calls that ``run`` makes itself and a seccomp filter refuses: what to do instead."""

import errno
import os
import resource
import signal
from collections.abc import Callable, Mapping

STATUS = "/proc/self/status"
IN_FORCE = b"Seccomp:\t2\n"
"""A line of `STATUS` (proc_pid_status(5), SECCOMP_MODE_FILTER)."""
INSTEAD = (
    "a seccomp filter may refuse a system call that `run` makes itself. Use `run` outside of "
    "the filter (--security-opt seccomp=unconfined in containers, SystemCallFilter= of systemd), "
    "or start the command alone and measure it from outside: chainbench-agent record --pid PID"
)
NO_FILE = -1
CALLS: Mapping[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), 0),
    "wait4": lambda: os.wait4(os.getpid(), os.WNOHANG),
    "waitid": lambda: os.waitid(os.P_PID, os.getpid(), os.WEXITED | os.WNOHANG),
    "rt_sigtimedwait": lambda: signal.sigtimedwait((), 0),
    "getrusage": lambda: resource.getrusage(resource.RUSAGE_SELF),
    "readv": lambda: os.readv(NO_FILE, [bytearray(1)]),
    "writev": lambda: os.writev(NO_FILE, [b"!"]),
}
"""The calls that hold a command, release it and wait for it, made so that they do nothing."""
IN_VAIN = (errno.ECHILD, errno.EBADF)
"""Errnos of these calls where they are allowed: there is no such child, no such file."""


class Refused(Exception):
    """The kernel refuses a call that ``run`` makes itself: which one, why, and what to do."""

    def __init__(self, call: str, number: int) -> None:
        why = (f"{call}(2)", os.strerror(number), instead(number))
        super().__init__(": ".join(filter(None, why)))


def try_calls() -> None:
    """Make the calls that a command depends on, once, while there is none. Raises `Refused`.

    Refused later, some of them would end a command that has begun.
    """
    for name, call in CALLS.items():
        try:
            call()
        except OSError as error:
            if error.errno not in IN_VAIN:
                raise Refused(name, error.errno or 0) from error


def instead(number: int | None) -> str:
    """Return what to do if a filter may be the reason for an errno; otherwise nothing.

    EPERM has many reasons, and is a filter's only where one is in force.
    """
    if number == errno.ENOSYS or (number == errno.EPERM and _in_force()):
        return INSTEAD
    return ""


def _in_force() -> bool:
    try:
        with open(STATUS, "rb") as file:
            return IN_FORCE in file
    except OSError:
        return False
