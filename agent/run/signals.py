"""Signals while a command runs: they are the command's.

The terminal sends its signals to the command as well as to us, since both are in its foreground
process group. What another process sends to us was meant for the command, and is passed on. The
one exception is a process of the command's own: a script that signals its whole group (``kill 0``)
has reached the command already, and may do so in answer to what is passed on.
"""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from types import FrameType
from typing import NoReturn

from agent.run import processes

_OF_A_FAULT = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT")
_NOT_TO_END = ("SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH", "SIGCHLD")
_NOT_FOR_US = ("SIGKILL", "SIGSTOP", "SIGPIPE", "SIGXFSZ")
PASSED_ON = frozenset(
    signal.valid_signals()
    - {getattr(signal, name) for name in (*_OF_A_FAULT, *_NOT_TO_END, *_NOT_FOR_US)}
)
"""Signals that by default end a process (signal(7)), if another process sends them to us."""

_GIVING_UP = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)

LONGEST_WAIT_S = 3600.0
"""sigtimedwait(2) takes no infinite time; whoever waits longer calls again."""

TOGETHER_S = 0.05
"""How far apart signals that are sent together may come."""


class Interrupted(BaseException):
    """A signal asked this process to end while it was not waiting for the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.open_run = ""
        """Which run may stay open, as the rest of a sentence; empty if none may."""


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Have signals that end this process raise `Interrupted`, unless they are ignored (nohup).

    SIGCHLD is not ignored any more, as it may be by inheritance: a child's end could not be seen.
    """
    before = {number: signal.getsignal(number) for number in (*_GIVING_UP, signal.SIGCHLD)}
    for number in _GIVING_UP:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


@contextlib.contextmanager
def blocked() -> Iterator[set[int]]:
    """Hold back SIGCHLD and all that would end this process; yield the mask before."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
    try:
        yield {int(number) for number in mask}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def let_through() -> Iterator[None]:
    """Within `blocked`, have them take effect all the same, and those that have come meanwhile."""
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def dropped() -> Iterator[None]:
    """Hold back the same signals, and drop those that nobody has waited for by the end."""
    with blocked():
        try:
            yield
        finally:
            while signal.sigtimedwait({*PASSED_ON, signal.SIGCHLD}, 0):
                pass


def next_one(command: int) -> signal.struct_siginfo:
    """Wait for one of the `blocked` signals, pass it on to the process ``command``, return it.

    SIGCHLD is only returned.
    """
    info = signal.sigwaitinfo({*PASSED_ON, signal.SIGCHLD})
    if info.si_signo != signal.SIGCHLD and info.si_code <= 0 and not _of_the_command(info.si_pid):
        # above 0 it is the kernel's: of the terminal, and the command got it too (sigaction(2))
        with contextlib.suppress(PermissionError):  # sudo, for example, becomes another user's
            os.kill(command, info.si_signo)
    return info


def has_ended_child() -> bool:
    """Return whether a child has ended that has not been waited for.

    A SIGCHLD does not say so: one of a child that was continued, which is nothing to act on, may
    stand for another one's end as well, since signals do not queue.
    """
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there is none at all
        return False


def gave_up(received: Collection[int]) -> int | None:
    """Return which of these signals asked to end everything, as Ctrl-C does."""
    asking = (n for n in _GIVING_UP if n in received and signal.getsignal(n) is not signal.SIG_IGN)
    return next(asking, None)


def with_the_last(received: Collection[int]) -> list[int]:
    """Take the `blocked` signals that have come together with those ``received``; return them.

    A signal may come twice: timeout(1) sends it to its child, and then to its own group.
    """
    patience = TOGETHER_S if _asking() & set(received) else 0.0
    others = []
    while (info := signal.sigtimedwait(_asking(), patience)) is not None:
        others.append(info.si_signo)
        patience = 0.0
    return others


def asked_to_end(seconds: float) -> bool:
    """Wait for one of the `blocked` signals, for at most that time; return whether one came.

    What is ignored (nohup) asks for nothing, although it is seen while it is blocked.
    """
    info = signal.sigtimedwait(_asking(), min(seconds, LONGEST_WAIT_S))
    if info is not None:
        with_the_last([info.si_signo])
    return info is not None


def held_back() -> int | None:
    """Return one of the `blocked` signals that has come and asks this process to end, if any."""
    return min(_asking() & signal.sigpending(), default=None)


def _asking() -> set[int]:
    """Return which of the `blocked` signals are not ignored here."""
    return {n for n in PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN}


def _of_the_command(sender: int) -> bool:
    """Return whether a process descends from this one, as all of the command's do."""
    return sender != os.getpid() and os.getpid() in processes.ancestors(sender)


def reset() -> None:
    """In a child: give signals their default, as at our own start, where Python or we changed it.

    What is ignored stays so: a shell starts background commands like that, and nohup. Python itself
    ignores SIGPIPE and SIGXFSZ.
    """
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
