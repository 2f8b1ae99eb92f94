"""Waiting for what is outside of us."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def eventually(look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """What ``look`` returns once that is true of something; fails where it never is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(POLL_SECONDS)
    return found
