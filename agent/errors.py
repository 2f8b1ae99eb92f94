"""Errors for people to read: a stable code, and what to do about it.

Standard library only, Python 3.9: every process of the agent imports this.
"""

from typing import Optional


class AgentError(Exception):
    """The base class: a stable ``code``, a ``message`` saying what to do, maybe a ``field``."""

    code = "internal_error"

    def __init__(
        self, message: str, *, code: Optional[str] = None, field: Optional[str] = None
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.field = field


class InvalidRequest(AgentError):
    """The request was understood, but one of its fields was not accepted."""

    code = "invalid_field"


class ScopeError(InvalidRequest):
    """The run cannot cover the requested scope."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code, field="scope")


class RunInProgress(AgentError):
    """``/start`` while a run is in progress; carries that run's id, and its start in ISO 8601."""

    code = "run_in_progress"

    def __init__(self, run_id: str, started_at: str, *, may_stop: bool = True) -> None:
        """``may_stop``: whether who asks may end that run."""
        cure = "POST /stop first" if may_stop else "it is for its user, or root, to end it"
        super().__init__(f"run {run_id} is in progress (since {started_at}): {cure}")
        self.run_id = run_id
        self.started_at = started_at


class NotRunning(AgentError):
    """``/stop`` while no run is in progress."""

    code = "not_running"

    def __init__(self) -> None:
        super().__init__("no run is in progress: POST /start first")


class ForbiddenUser(AgentError):
    """What was asked for over the agent's socket is not for this user."""

    code = "forbidden_user"


def check_owner(run_id: str, owner: Optional[int], asks: Optional[int]) -> None:
    """Raise ForbiddenUser unless a run is for the user who ``asks``; None may have everybody's."""
    if asks is not None and asks != owner:
        raise ForbiddenUser(
            f"run {run_id} was not begun by uid {asks} over this socket: only the user who "
            "began it, or root (sudo), may end or delete it or read its evidence"
        )
