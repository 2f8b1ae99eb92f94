"""Ctrl-C, held back while a request must not be cut short."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold back Ctrl-C in the main thread for this block; it takes effect at the end.

    The handler is replaced rather than the signal blocked: in a process with other threads, as
    those of numpy, the kernel would deliver it to one of them, and Python's handler would run here
    all the same. In other threads there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread() or not callable(
        signal.getsignal(signal.SIGINT)
    ):
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
