"""The label of a data set: the SHA-256 of its file, which takes seconds for a large one."""

import hashlib
import os
import time
from collections.abc import Callable
from io import FileIO
from typing import TextIO

from agent.regular_files import open_regular
from agent.terminal import output as terminal
from agent.terminal.values import percent, printable, size

BLOCK = 1 << 20
QUIET_S = 2.0
"""How long reading a file may take before its progress is shown."""
STEP_S = 0.5


class CannotRead(Exception):
    """The file has no SHA-256; the text says why."""


def sha256_of(path: str, stream: TextIO | None, clock: Callable[[], float] = time.monotonic) -> str:
    """Return the SHA-256 of a file's content, in hex. Raises `CannotRead`.

    After two seconds, a line on ``stream`` says how far it is, if that is a terminal.
    """
    try:
        with open(open_regular(path), "rb", buffering=0) as file:
            return _digest(file, _Line(path, os.fstat(file.fileno()).st_size, stream, clock))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotRead(f"cannot read {printable(path)}: {why}") from error


def _digest(file: FileIO, line: "_Line") -> str:
    found, block, done = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    try:
        while read := file.readinto(block):
            found.update(block[:read])
            done += read
            line.show(done)
    finally:
        line.clear()
    return found.hexdigest()


class _Line:
    """One line of a terminal that says how far a file has been read."""

    def __init__(
        self, path: str, whole: int, stream: TextIO | None, clock: Callable[[], float]
    ) -> None:
        shown = stream is not None and terminal.rewrites_lines(stream)
        self._stream = stream if shown else None
        self._path = path
        self._whole = whole
        self._clock = clock
        self._next = clock() + QUIET_S
        self._open = False

    def show(self, done: int) -> None:
        if self._stream is None or (now := self._clock()) < self._next:
            return
        self._next = now + STEP_S
        whole = max(done, self._whole)  # somebody may write to it meanwhile
        far = f"{percent(done, whole)} of {size(whole)}"
        terminal.rewrite(f"reading the data set: {far}, {printable(self._path)}", self._stream)
        self._open = True

    def clear(self) -> None:
        if self._stream is not None and self._open:
            terminal.rewrite("", self._stream)
