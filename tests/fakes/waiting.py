"""Waiting for conditions outside the test's process."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01

PATIENCE_SECONDS = 120.0
"""How long a test waits for what must happen. Only a defect takes this long: no test asserts how
fast something is, since the machine may be busy with other work."""


def eventually(look: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true value that ``look`` returns; fail if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(POLL_SECONDS)
    return found
