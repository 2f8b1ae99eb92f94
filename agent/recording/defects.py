"""What a recorder does about errors in this process: it logs them, and goes on."""

import logging
from collections.abc import Callable

from agent.recording.run import Run
from agent.streams.shared import limits
from agent.streams.shared.causes import CannotCollect

INTERNAL_ERROR = "internal_error"

LOGGER = logging.getLogger("agent.recording.recorder")


def log(tell: Callable[[Run], None], run: Run) -> None:
    """Log a line about a run, which goes on, or has ended, all the same if that fails."""
    try:
        tell(run)
    except Exception:
        LOGGER.exception("run %s could not be logged", run.id)


def cause(what: str, error: Exception) -> CannotCollect:
    """Log an error in this process, and return its cause: a limit that was reached, or a defect."""
    limit = limits.reached(what, error.errno) if isinstance(error, OSError) else None
    if limit is not None:
        LOGGER.warning("%s", limit.message)
        return limit
    LOGGER.error("%s", what, exc_info=error)
    return CannotCollect(f"{type(error).__name__}: {error}", code=INTERNAL_ERROR)
