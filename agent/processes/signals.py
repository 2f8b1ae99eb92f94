"""Which signals end the agent."""

import os
import signal

_NAMES = (
    *("SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF"),
    *("SIGXCPU", "SIGPOLL", "SIGPWR", "SIGSTKFLT"),
)
"""Signals that by default end a process (signal(7)), apart from SIGHUP, the real-time signals, and
those that report a fault of the process itself. Python ignores SIGPIPE and SIGXFSZ."""


def ending_signals() -> frozenset[int]:
    """Return the signals that end the agent, with its evidence; ignore SIGHUP if it is not one.

    SIGHUP says that the terminal is gone, so it ends an agent that has a controlling terminal,
    unless it was started with SIGHUP ignored (nohup). A service without a terminal ignores it.
    """
    ending = {int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)}
    if hasattr(signal, "SIGRTMIN"):
        ending |= set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    if _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.add(int(signal.SIGHUP))
    else:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return frozenset(ending)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
