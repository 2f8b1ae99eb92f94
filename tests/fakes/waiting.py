"""Waiting for conditions outside the test's process."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def eventually(look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Return the first true value that ``look`` returns; fail if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(POLL_SECONDS)
    return found
