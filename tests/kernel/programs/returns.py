"""A workload of calls that fail, are interrupted, or return elsewhere.

Command: WAY COUNT
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from protocol import say, wait

PAUSE = 0.01


def failing_opens(count: int) -> None:
    for _ in range(count):
        with contextlib.suppress(FileNotFoundError):
            os.open("/missing/file", os.O_RDONLY)


def interrupted(count: int) -> None:
    """Wait, and have each wait ended by a signal whose handler does nothing."""
    main_thread = threading.get_ident()

    def interrupt() -> None:
        for _ in range(count):
            time.sleep(PAUSE)
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    for _ in range(count):
        signal.pause()
    thread.join()


class Woken(Exception):
    """Raised by a signal's handler, as the interpreter would repeat an interrupted call."""


def woken(count: int) -> None:
    """Wait in epoll_wait(), which the kernel never restarts, until a signal ends the wait."""

    def wake(number: int, frame: object) -> None:
        raise Woken

    signal.signal(signal.SIGALRM, wake)
    with select.epoll() as nothing:
        for _ in range(count):
            signal.setitimer(signal.ITIMER_REAL, PAUSE)
            with contextlib.suppress(Woken):
                nothing.poll(timeout=60)


def children(count: int) -> None:
    """Fork children: these return from the call that made them, not from the one that ends them."""
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def spawned(count: int) -> None:
    """Start children by vfork and a successful exec."""
    for _ in range(count):
        subprocess.run(["/bin/true"], check=True)


WAYS: dict[str, Callable[[int], None]] = {
    way.__name__: way for way in (failing_opens, interrupted, woken, children, spawned)
}


def main() -> None:
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    say()
    while True:
        way, _, count = wait().partition(" ")
        WAYS[way](int(count))
        say()


main()
