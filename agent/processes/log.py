"""A log that never holds the agent up: lines of text or of JSON, with the journal's priorities."""

import json
import logging
import os
import sys
import threading
import time
from collections import deque

from agent import journal
from agent.service_output import PATIENCE_S, written
from agent.words import PRIVATE

MOST_WAITING = 1 << 20
"""Bytes of records that wait for a reader. Most have a hundred, and evidence some ten thousand."""

FIELDS = "fields"
"""The attribute of a record with what it says, by name (``extra`` of a call)."""


def log_to_stderr(form: str = "text") -> logging.Handler:
    """Have records written to standard error, as ``text`` or as ``json``; return what does it.

    A client's own agent (`agent.words.PRIVATE`) leaves out what is only information.
    """
    handler = _Handler(sys.stderr.fileno())
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(name)s: %(message)s"))
    level = logging.WARNING if PRIVATE in os.environ else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])
    return handler


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


class _Handler(logging.Handler):
    """Writes what the descriptor takes at once, and has a thread wait with the rest.

    The event loop never waits: while it did, the kernel's buffers would run full. What is lost
    because too much is waiting, or the descriptor is closed, is counted in the next record.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._to_journal = journal.is_journal(fd)
        self._lost = 0
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            data = self._with_count(self._text(record)).encode(errors="backslashreplace")
            try:
                if self._waiting or (data := written(self._fd, data, 0)):
                    self._wait_with(data)
            except (OSError, RuntimeError):  # closed, or on a full disk; or there is no thread left
                self._lost += 1
            else:
                self._lost = 0

    def flush(self) -> None:
        """Give the reader some time for what is still waiting, before the process ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, PATIENCE_S)

    def _text(self, record: logging.LogRecord) -> str:
        try:
            text = f"{self.format(record)}\n"
        except Exception as error:  # noqa: BLE001  an argument's __str__ may raise anything
            # a mistake in the logging call, which must not end its caller
            said = f"a record that cannot be written ({error!r}): {record.msg!r}"
            text = f"{self.format(_record(record.name, record.levelno, said))}\n"
        return journal.prioritized(text, _priority(record)) if self._to_journal else text

    def _with_count(self, text: str) -> str:
        if not self._lost:
            return text
        count = f"(log records lost: {self._lost})"
        return f"{self._text(_record(__name__, logging.WARNING, count))}{text}"

    def _wait_with(self, data: bytes) -> None:
        """Raises OSError if too much is waiting, and RuntimeError without a thread to wait."""
        if sum(map(len, self._waiting)) + len(data) > MOST_WAITING:
            raise BlockingIOError
        if self._thread is None:
            thread = threading.Thread(target=self._write_what_waits, daemon=True)
            thread.start()
            self._thread = thread
        self._waiting.append(data)
        self._changed.notify_all()

    def _write_what_waits(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = self._waiting[0]
            try:
                written(self._fd, data, None)
                lost = 0
            except OSError:
                lost = 1
            with self._changed:
                self._waiting.popleft()
                self._lost += lost
                self._changed.notify_all()


def _record(name: str, level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, None, None)


def _priority(record: logging.LogRecord) -> int:
    if record.levelno >= logging.ERROR:
        return journal.ERROR
    return journal.WARNING if record.levelno >= logging.WARNING else journal.INFO
