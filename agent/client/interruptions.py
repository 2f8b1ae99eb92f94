"""Ctrl-C, held back while a request must not be cut short."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold back Ctrl-C in the main thread for this block; it takes effect at the end.

    The handler is replaced rather than the signal blocked: in a process with other threads, as
    those of numpy, the kernel would deliver it to one of them, and Python's handler would run here
    all the same. In other threads there is nothing to hold back.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _number, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:  # not by another signal, which who reads signals from a descriptor would see twice
            handler(signal.SIGINT, came[0])
