"""What is reported to a service manager: that the agent serves, lives, and ends (sd_notify(3)).

The messages come from the process that serves, which is not the service's first one: the unit needs
``NotifyAccess=all``.
"""

import logging
import os
import socket
from typing import Self

import trio

from agent.terminal.values import printable

LOGGER = logging.getLogger("agent")

USEC = 1_000_000
MOST_DIGITS = 20
"""Of WATCHDOG_USEC, which is a 64-bit number."""


class ServiceManager:
    """The service manager that has started the agent, if one has, and wants to be told."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        """``address``: of its socket, or empty; ``watchdog_s``: how long it waits for a sign of
        life before it ends the service, None if it does not."""
        self._address = address
        self._watchdog_s = watchdog_s
        self._has_failed = False

    @classmethod
    def from_environment(cls) -> Self:
        """Return the one that the environment names (``NOTIFY_SOCKET``, ``WATCHDOG_USEC``).

        ``WATCHDOG_PID`` names the service's first process, which is this one or its parent.
        """
        address = os.environ.get("NOTIFY_SOCKET", "")
        every = os.environ.get("WATCHDOG_USEC", "")
        meant = os.environ.get("WATCHDOG_PID")
        is_meant = meant is None or meant in (str(os.getpid()), str(os.getppid()))
        is_number = every.isascii() and every.isdecimal() and len(every) <= MOST_DIGITS
        watches = is_meant and is_number and int(every) > 0
        return cls(address, int(every) / USEC if watches else None)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as ``READY=1``. Waits for nothing; a failure is logged once."""
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):  # an abstract socket (unix(7))
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            if not self._has_failed:
                LOGGER.warning(
                    "nothing can be reported to the service manager at %s: %s",
                    printable(self._address),
                    error.strerror or error,  # no text of the system's for a path that is too long
                )
            self._has_failed = True

    async def show_life(self) -> None:
        """Send a sign of life twice as often as is asked for, until cancelled.

        It comes from the event loop: what blocks that for so long has the service restarted.
        """
        if not self._address or self._watchdog_s is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(self._watchdog_s / 2)
