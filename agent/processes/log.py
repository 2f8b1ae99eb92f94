"""A log that never holds the agent up: lines of text or of JSON, with the journal's priorities."""

import json
import logging
import os
import select
import sys
import time

from agent import journal
from agent.words import PRIVATE

PATIENCE_S = 0.5
"""How long a record may wait for its reader: a pipe that nobody reads, or a terminal that was
stopped with Ctrl-S, would otherwise stop the event loop."""

FIELDS = "fields"
"""The attribute of a record with what it says, by name (``extra`` of a call); see `tell`."""


def log_to_stderr(form: str = "text") -> None:
    """Have records written to standard error, as ``text`` or as ``json``.

    A client's own agent (`agent.words.PRIVATE`) leaves out what is only information.
    """
    handler = _PatientHandler(sys.stderr.fileno())
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(name)s: %(message)s"))
    level = logging.WARNING if PRIVATE in os.environ else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])


class _Json(logging.Formatter):
    """One object for each record, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        seconds, milliseconds = time.gmtime(record.created), int(record.msecs)
        said = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{milliseconds:03d}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


class _PatientHandler(logging.Handler):
    """Writes what the descriptor takes in time, and says later how many records were cut short."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._to_journal = journal.is_journal(fd)
        self._cut_short = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = self._text(record)
        if self._cut_short:
            count = f"log records cut short or lost: {self._cut_short}"
            about = logging.LogRecord(__name__, logging.WARNING, "", 0, f"({count})", None, None)
            text = f"{self._text(about)}{text}"
        if self._written(text.encode(errors="backslashreplace")):
            self._cut_short = 0
        else:
            self._cut_short += 1

    def _text(self, record: logging.LogRecord) -> str:
        text = f"{self.format(record)}\n"
        return journal.prioritized(text, _priority(record)) if self._to_journal else text

    def _written(self, rest: bytes) -> bool:
        """Write in pieces that a pipe takes at once if it takes anything (pipe(7))."""
        deadline = time.monotonic() + PATIENCE_S
        while rest:
            left_ms = max(0.0, deadline - time.monotonic()) * 1000
            if not self._poll.poll(left_ms):
                return False
            try:
                rest = rest[os.write(self._fd, rest[: select.PIPE_BUF]) :]
            except OSError:  # closed, or on a full disk
                return False
        return True


def _priority(record: logging.LogRecord) -> int:
    if record.levelno >= logging.ERROR:
        return journal.ERROR
    return journal.WARNING if record.levelno >= logging.WARNING else journal.INFO
