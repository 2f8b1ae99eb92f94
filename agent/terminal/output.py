"""Writing a report to whatever standard output is."""

import os
import shutil
import sys
from typing import TextIO

# Blocks by how full they are, for terminals and files that cannot take them.
ASCII = str.maketrans(
    {"█": "#", "–": "-", "·": "|", "µ": "u", "…": "~"} | dict.fromkeys("▉▊▋▌▍▎▏", "+")
)


def wants_color(stream: TextIO) -> bool:
    """Colour is for a person at a terminal who has not declined it (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int:
    return shutil.get_terminal_size().columns


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes text, spelled in ASCII where the stream's encoding cannot carry it."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(text)
    stream.flush()
