"""Files of the kernel in which names stand that others have chosen. Standard library only.

Python 3.9.
"""

import os
from pathlib import Path


def lines(path: Path) -> list[str]:
    """Return the lines of such a file; none if it cannot be read.

    A name may be any bytes but a newline: what is no UTF-8 is as `os.fsdecode` has it, so that
    the name can be opened, and is for people only after `printable`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return []
    # not splitlines(), which takes several other characters for ends of lines
    return os.fsdecode(content).removesuffix("\n").split("\n") if content else []


def printable(name: str) -> str:
    """Return a name from such a file with what is no UTF-8 escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")
