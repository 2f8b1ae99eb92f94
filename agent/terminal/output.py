"""Output of a report to a terminal, pipe or file."""

import contextlib
import os
import shutil
import sys
from typing import TextIO

# ASCII substitutes for terminals and files that cannot encode these characters.
ASCII = str.maketrans(
    {"█": "#", "–": "-", "·": "|", "µ": "u", "…": "~"} | dict.fromkeys("▉▊▋▌▍▎▏", "+")
)


def wants_color(stream: TextIO | None) -> bool:
    """Return whether to use color: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    if stream is None or not stream.isatty():
        return False
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int:
    return shutil.get_terminal_size().columns


class OutputFailed(Exception):
    """Standard output did not take a report; the text says why, and so does the cause, if any."""


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text, replaced with ASCII substitutes if the stream's encoding cannot represent it.

    Raises `OutputFailed`.
    """
    stream = stream or sys.stdout
    if stream is None:
        raise OutputFailed("standard output is closed")
    try:
        stream.write(_encodable(text, stream.encoding or "ascii"))
        stream.flush()
    except OSError as error:
        _discard(stream)
        raise OutputFailed(error.strerror) from error


def complain(text: str, stream: TextIO | None = None) -> None:
    """Write a diagnostic, by default to standard error.

    If it cannot be written, there is nobody to tell.
    """
    with contextlib.suppress(OutputFailed):
        write(text, stream or sys.stderr)


def _discard(stream: TextIO) -> None:
    """Have the rest of a stream disappear. The interpreter would try to write it at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text
