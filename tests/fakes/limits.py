"""Limits of this very process, lowered for a moment."""

import contextlib
import os
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def no_more_files(room: int = 0) -> Iterator[None]:
    """Let this process open only ``room`` more files."""
    free = (number for number in range(1 << 20) if not _is_open(number))
    allowed = [next(free) for _ in range(room + 1)][-1]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
