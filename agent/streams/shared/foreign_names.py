"""Files of the kernel that contain names which others have chosen.

Standard library only, Python 3.9.
"""

import os
from pathlib import Path


def lines(path: Path) -> list[str]:
    """Return the lines of such a file; none if it cannot be read.

    A name may be any bytes except a newline. Bytes that are not UTF-8 are decoded as by
    `os.fsdecode`, so that the name can be opened; nothing can print or send it before `as_text`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return []
    # not splitlines(), which ends lines at several other characters as well
    return os.fsdecode(content).removesuffix("\n").split("\n") if content else []


def as_text(name: str) -> str:
    """Return a name from such a file with the bytes escaped that are not UTF-8.

    Control characters stay, as in other names of evidence: a terminal's side escapes them.
    """
    return os.fsencode(name).decode(errors="backslashreplace")
