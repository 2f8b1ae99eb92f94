"""Errors that a client is meant to read: a stable code, and what to do about it."""


class AgentError(Exception):
    """A refusal: a stable ``code``, a ``message`` saying what to do, maybe a ``field``."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.field = field


class InvalidRequest(AgentError):
    """The request was understood but one of its fields cannot be taken."""

    code = "invalid_field"


class RunInProgress(AgentError):
    """``/start`` while a run is on; carries that run's id."""

    code = "run_in_progress"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} is in progress: POST /stop first")
        self.run_id = run_id


class NotRunning(AgentError):
    """``/stop`` while nothing is running."""

    code = "not_running"

    def __init__(self) -> None:
        super().__init__("no run is in progress: POST /start first")
