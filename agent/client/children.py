"""Children that are ended with the block that uses them, and with this process."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from agent.client.interpreter import Invocation
from agent.client.run_module import LIFELINE
from agent.parent_death import end_with_parent

END_SECONDS = 20.0
"""An agent stopped in the middle of a run first produces that run's evidence."""

FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@contextlib.contextmanager
def child(invocation: Invocation, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a child, yield it, and end it on leaving. ``options`` are those of Popen.

    A module of ours (`agent.client.interpreter.own_module`) also gets SIGTERM when this process
    ends, even by SIGKILL. The terminal's signals are left to this process, which receives them too
    and ends its children: in each of them Ctrl-C would print a traceback of its own, and an agent
    would end before its run had been stopped. Raises OSError if the command cannot be started.
    """
    watched, held = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.enter_context(open(held, "wb"))
        with open(watched, "rb"), _terminal_held_back():
            process = subprocess.Popen(
                invocation.command,
                env={**invocation.environment, LIFELINE: str(watched)},
                pass_fds=(watched,),
                **options,
            )
            stack.callback(end, process)
        yield process


@contextlib.contextmanager
def foreign_child(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command of the user's, yield it, and end it on leaving.

    It gets the terminal's signals as from a shell, and SIGTERM when this process ends. Raises
    OSError, or SubprocessError, if it cannot be started.
    """
    with contextlib.ExitStack() as stack:
        with _terminal_held_back() as mask:
            before_exec = partial(_before_exec, os.getpid(), mask)
            process = subprocess.Popen(command, preexec_fn=before_exec, **options)
            stack.callback(end, process)
        yield process


def end(process: "subprocess.Popen[bytes]") -> None:
    """Terminate a process, and kill it if it does not exit in time."""
    with process:  # closes its pipes
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def _terminal_held_back() -> Iterator[set[int]]:
    """Block the terminal's signals, for this block and for every child that it starts.

    Yields the mask before. A signal that arrives meanwhile is delivered on leaving.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_THE_TERMINAL)
    try:
        yield {int(number) for number in mask}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _before_exec(parent: int, mask: set[int]) -> None:
    end_with_parent(parent, signal.SIGTERM)
    # until exec, our own handler would raise KeyboardInterrupt here
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
