"""Whether the kernel can be measured, by what the last attempt found."""

import logging

import trio

from agent.streams.shared.causes import CannotCollect
from agent.words import Json

SUPERVISOR_LOST = (
    "the agent's privileged process is gone, and every probe with it; "
    "restart the agent to collect again"
)
LOGGER = logging.getLogger("agent.recording.availability")


class Availability:
    """Remembers the outcome of the last attempt to collect, and logs why there is none."""

    def __init__(self, lost: trio.Event, *, mock: bool) -> None:
        """``lost`` is set when the privileged process is gone. ``mock``: nothing is tried."""
        self._lost = lost
        self._mock = mock
        self._failure: CannotCollect | None = None
        self._is_known = False

    def note(self, failure: CannotCollect | None) -> None:
        """Remember the outcome of an attempt; log why it failed, unless that was known."""
        before, self._failure, self._is_known = self._failure, failure, True
        if failure is not None and str(failure) != str(before):
            LOGGER.warning("cannot collect (%s): %s", failure.code, failure.message)

    def why_not_ready(self) -> str | None:
        """Return why a start would have to wait, or be in vain; None if it would not."""
        if self._lost.is_set():
            return SUPERVISOR_LOST
        return None if self._is_known else "the programs are being loaded"

    def described(self) -> Json:
        """Return it as /status has it; ``available`` is null if nothing has been tried."""
        if self._mock:
            return {"available": None, "reason": None}
        if self._lost.is_set():
            return {"available": False, "code": "supervisor_lost", "reason": SUPERVISOR_LOST}
        if self._failure is not None:
            reason = self._failure.message
            return {"available": False, "code": self._failure.code, "reason": reason}
        return {"available": True if self._is_known else None, "reason": None}
