"""Output of a report to a terminal, pipe or file."""

import contextlib
import os
import sys
from typing import TextIO

from agent.terminal.width import cut, fit

# ASCII substitutes for terminals and files that cannot encode these characters.
ASCII = str.maketrans(
    {"█": "#", "–": "-", "·": "|", "µ": "u", "…": "~", "±": "+/-"} | dict.fromkeys("▉▊▋▌▍▎▏", "+")
)
SIMPLE_TERMINALS = ("dumb", "linux", "vt")
"""What the value of TERM begins with for terminals whose font lacks eighths of a block."""
COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python itself sets LC_CTYPE to in a C locale (PEP 538)."""


def wants_color(stream: TextIO | None) -> bool:
    """Return whether to use color: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    if stream is None or not stream.isatty():
        return False
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def rewrites_lines(stream: TextIO) -> bool:
    """Return whether a line can be erased and written again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO | None = None) -> int:
    """Return the width of the terminal, or 80 where there is none. COLUMNS takes precedence.

    Without a terminal on ``stream``, it is that of standard output. ``shutil`` does the same, but a
    command that is measured would have to wait until it is imported.
    """
    with contextlib.suppress(ValueError):
        if (wanted := int(os.environ.get("COLUMNS", ""))) > 0:
            return wanted
    for one in (stream, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError):  # closed, or no file at all
            if one is not None and one.isatty():
                return os.get_terminal_size(one.fileno()).columns or 80
    return 80


class OutputFailed(Exception):
    """Standard output did not take a report; the text says why, and so does the cause, if any."""


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text, with ASCII substitutes where the stream or the reader's terminal needs them.

    Raises `OutputFailed`.
    """
    stream = stream or sys.stdout
    if stream is None:
        raise OutputFailed("standard output is closed")
    try:
        stream.write(_encodable(text, _encoding(stream)))
        stream.flush()
    except OSError as error:
        _discard(stream)
        raise OutputFailed(error.strerror) from error


def complain(text: str, stream: TextIO | None = None) -> None:
    """Write a diagnostic, by default to standard error, folded to the width of a terminal.

    An error is ignored: it could not be reported anywhere.
    """
    stream = stream or sys.stderr
    with contextlib.suppress(OutputFailed):
        write(fit(text, columns(stream)) if stream and stream.isatty() else text, stream)


def rewrite(text: str, stream: TextIO) -> None:
    """Replace the current line of a terminal, cut to its width: what wraps could not be erased."""
    with contextlib.suppress(OutputFailed):
        write(f"\r\x1b[K{cut(text, columns(stream) - 1)}", stream)


def _discard(stream: TextIO) -> None:
    """Have the rest of a stream disappear. The interpreter would try to write it at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _encoding(stream: TextIO) -> str:
    """Return the encoding to keep to: ASCII if locale or terminal say that they know no other.

    Python writes UTF-8 even in a C locale, where nothing promises that it can be read.
    """
    simple = stream.isatty() and os.environ.get("TERM", "").startswith(SIMPLE_TERMINALS)
    return "ascii" if simple or not _locale_is_utf8() else stream.encoding or "ascii"


def _locale_is_utf8() -> bool:
    named = [os.environ.get(name) or "" for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if named[1] in COERCED:
        named[1] = ""  # set by Python or by the user, which cannot be distinguished: LANG decides
    locale = next(filter(None, named), "C")
    return "utf8" in locale.lower().replace("-", "")


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text
