"""Waiting for another process that writes to the same store."""

import logging
import time
from pathlib import Path

from agent.store import errors
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
        """Return whether to give up. Logs what is waited for, once, if it takes long.

        Of a command, which sets up no log, that goes to standard error.
        """
        waited = time.monotonic() - self._since
        if self._is_silent and waited >= SILENT_S:
            self._is_silent = False
            logging.getLogger("agent").warning(
                "waiting for another process, which has locked %s", printable(self._path)
            )
        return waited >= errors.LOCKED_S
