"""Output of a report to a terminal, pipe or file."""

import os
import shutil
import sys
from typing import TextIO

# ASCII substitutes for terminals and files that cannot encode these characters.
ASCII = str.maketrans(
    {"█": "#", "–": "-", "·": "|", "µ": "u", "…": "~"} | dict.fromkeys("▉▊▋▌▍▎▏", "+")
)


def wants_color(stream: TextIO) -> bool:
    """Return whether to use color: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int:
    return shutil.get_terminal_size().columns


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text, replaced with ASCII substitutes if the stream's encoding cannot represent it."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(text)
    stream.flush()
