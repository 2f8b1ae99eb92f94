"""Waits for somebody else, which are not to look like a program that hangs."""

import contextlib
from collections.abc import Iterator
from threading import Timer

from agent.terminal import output

SILENT_S = 1.0
"""Waits that are shorter need no word."""


@contextlib.contextmanager
def said_if_long(text: str) -> Iterator[None]:
    """Write a line to standard error if the block takes longer."""
    timer = Timer(SILENT_S, lambda: output.complain(text))  # what is standard error by then
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread is left
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
