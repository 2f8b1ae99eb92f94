"""A log that never holds the agent up."""

import logging
import os
import select
import sys
import time

PATIENCE_S = 0.5
"""How long a record may wait for its reader: a pipe that nobody reads, or a terminal that was
stopped with Ctrl-S, would otherwise stop the event loop."""


def log_to_stderr() -> None:
    """Have all records written to standard error."""
    handler = _PatientHandler(sys.stderr.fileno())
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _PatientHandler(logging.Handler):
    """Writes what the descriptor takes in time, and says later how many records were cut short."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._cut_short = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if self._cut_short:
            text = f"(log records cut short or lost: {self._cut_short})\n{text}"
        if self._written(f"{text}\n".encode(errors="backslashreplace")):
            self._cut_short = 0
        else:
            self._cut_short += 1

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
