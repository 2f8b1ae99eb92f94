"""What a service writes to its standard streams, for whose reader it does not wait.

A pipe that nobody reads, or a terminal that was stopped with Ctrl-S, would hold it up for as long
as that lasts. Standard library only.
"""

import contextlib
import os
import select
import sys
import time

PATIENCE_S = 0.5
"""How long a reader may take where nothing else has to be done meanwhile."""


def written(fd: int, data: bytes, patience_s: float | None) -> bytes:
    """Write what a descriptor takes in that time, and return the rest. Raises OSError.

    ``patience_s`` is None to wait until it takes all of it.
    """
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    deadline = None if patience_s is None else time.monotonic() + patience_s
    while data:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            break
        # in pieces that a pipe takes at once if it takes anything (pipe(7))
        data = data[os.write(fd, data[: select.PIPE_BUF]) :]
    return data


def say(text: str) -> None:
    """Write a diagnostic; that standard error is full or gone ends nothing."""
    with contextlib.suppress(OSError):
        written(sys.stderr.fileno(), text.encode(errors="backslashreplace"), PATIENCE_S)
