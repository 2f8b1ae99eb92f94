"""Waiting for another process that writes to the same store."""

import logging
import time
from pathlib import Path

from agent.store import errors
from agent.terminal import output
from agent.terminal.values import printable

SILENT_S = 1.0
"""Waits that are shorter need no word."""


class Wait:
    """A wait that has begun."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = time.monotonic()
        self._is_silent = True

    def is_too_long(self) -> bool:
        """Return whether to give up. Says what is waited for, once, if it takes long."""
        waited = time.monotonic() - self._since
        if self._is_silent and waited >= SILENT_S:
            self._is_silent = False
            _say(f"waiting for another process, which has locked {printable(self._path)}")
        return waited >= errors.LOCKED_S


def _say(text: str) -> None:
    """Log it, or where no log has been set up, as in a command, write it to standard error.

    What logging itself writes there would spoil the exit status if standard error is full or gone.
    """
    log = logging.getLogger("agent")
    if log.hasHandlers():
        log.warning("%s", text)
    else:
        output.complain(f"{text}\n")
