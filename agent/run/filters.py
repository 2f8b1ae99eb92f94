"""Calls that ``run`` makes itself, and a seccomp filter refuses: what to do instead."""

import contextlib
import errno
import os
import signal

STATUS = "/proc/self/status"
IN_FORCE = b"Seccomp:\t2\n"
"""A line of `STATUS` (proc_pid_status(5), SECCOMP_MODE_FILTER)."""
INSTEAD = (
    "a seccomp filter may refuse a system call that `run` makes itself, waitid(2) for example. Use "
    "it outside of the filter (--security-opt seccomp=unconfined in containers, SystemCallFilter= "
    "of systemd), or start the command alone and measure it from outside: chainbench-agent record "
    "--pid PID"
)


def try_calls() -> None:
    """Make the calls with which a command is waited for, once, while there is none.

    Refused later, they would end a command that has begun. Raises OSError if one is refused.
    """
    for wait in (_wait4, _waitid):
        with contextlib.suppress(ChildProcessError):  # what is waited for is no child
            wait()
    signal.sigtimedwait((), 0)


def _wait4() -> None:
    os.wait4(os.getpid(), os.WNOHANG)


def _waitid() -> None:
    os.waitid(os.P_PID, os.getpid(), os.WEXITED | os.WNOHANG)


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
