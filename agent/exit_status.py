"""How a process ended: in words, and as shells report it. Standard library only."""

import signal

KILLED_BY = 128
"""Exit status as in shells: this plus the number of the signal that killed the process."""
OWN_FAILURE = 125
"""Exit status of a failure before the command was run, as in env(1), nohup(1) and timeout(1)."""

UNASKED = frozenset({signal.SIGXCPU, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF})
"""Signals that end the agent without anybody asking: of RLIMIT_CPU (setrlimit(2)) and of timers."""

FILTERED = "a seccomp filter, such as systemd's SystemCallFilter=, does not allow a call it made"
"""What sends SIGSYS (seccomp(2), SECCOMP_RET_KILL_PROCESS)."""


def signal_name(number: int) -> str:
    """Return a signal's name; of a real-time signal, as kill(1) writes it."""
    try:
        return signal.Signals(number).name
    except ValueError:  # no name, as most real-time signals, or one of the C library's own
        beyond = number - signal.SIGRTMIN
        return f"SIGRTMIN+{beyond}" if beyond > 0 else f"signal {number}"


def how_it_ended(code: int) -> str:
    """Return what became of a process as the end of a sentence: ``exited with status 3``.

    ``code``: the exit status, or minus the number of the signal that killed it, as in `subprocess`.
    """
    if code == -signal.SIGSYS:
        return f"was killed by SIGSYS ({FILTERED})"
    return f"was killed by {signal_name(-code)}" if code < 0 else f"exited with status {code}"
