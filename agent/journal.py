"""Priorities for systemd's journal: a line that begins with ``<N>`` has the priority N.

Described in sd-daemon(3). Standard library only.
"""

import os

ERROR, WARNING, INFO = 3, 4, 6


def is_journal(fd: int = 2) -> bool:
    """Whether a descriptor is the journal's (``JOURNAL_STREAM``, systemd.exec(5)).

    The variable is inherited by processes whose standard error is another file.
    """
    try:
        found = os.fstat(fd)
    except OSError:  # closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def prioritized(text: str, priority: int) -> str:
    """Return a text with this priority at each line: the journal takes each for an entry."""
    return "".join(f"<{priority}>{line}" for line in text.splitlines(keepends=True))
