"""Standard streams that are closed, full, or no longer read.

A service needs none of its streams. A command whose output nobody reads any more ends quietly, like
``cat``; one whose output cannot be written says so in one line.
"""

import os
import signal
import sys
from collections.abc import Callable

from agent.exit_status import KILLED_BY
from agent.terminal import output


def run_command(command: Callable[[], int]) -> int:
    """Run a command and return the exit status, whatever becomes of the standard streams."""
    reserve_descriptors()
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # since `agent.client.run_module`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except output.OutputFailed as error:
        if isinstance(error.__cause__, BrokenPipeError):
            return KILLED_BY + signal.SIGPIPE
        output.complain(f"chainbench-agent: cannot write the output: {error}\n")
        return 1
    except KeyboardInterrupt:
        output.complain("chainbench-agent: interrupted\n")
        return KILLED_BY + signal.SIGINT


def reserve_descriptors() -> None:
    """Open descriptors 0 to 2 on /dev/null where they are closed.

    Otherwise the first sockets and files to be opened would get these numbers, and what is meant
    for a standard stream, here or in a child, would be written to them. Python's own ``sys.stdout``
    stays None, so a report to a closed stream is still noticed. Diagnostics have nowhere to go.
    """
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        os.set_inheritable(null, True)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (as long as we run)
