"""A workload of calls that fail, are interrupted, or return elsewhere.

Command: WAY COUNT
"""

import contextlib
import os
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
    way.__name__: way for way in (failing_opens, interrupted, children, spawned)
}


def main() -> None:
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    say()
    while True:
        way, _, count = wait().partition(" ")
        WAYS[way](int(count))
        say()


main()
