"""Files of the kernel that contain names which others have chosen.

Standard library only, Python 3.9.
"""

import os
import re
from pathlib import Path


def lines_of(content: bytes) -> list[bytes]:
    r"""Return the lines of what such a file holds.

    A name may be any bytes except a newline, which the kernel escapes. splitlines() ends lines at
    ``\r`` as well, and those of text at still more characters: with such a name, a process could
    have a line of its own choice read as one of the kernel's.
    """
    return content.removesuffix(b"\n").split(b"\n") if content else []


def lines(path: Path) -> list[str]:
    """Return the lines of such a file; none if it cannot be read.

    Bytes that are not UTF-8 are decoded as by `os.fsdecode`, so that a name can be opened; nothing
    can print or send it before `as_text`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return []
    return [os.fsdecode(line) for line in lines_of(content)]


def unescaped(path: str) -> str:
    r"""Return a path of /proc/PID/mounts or mountinfo, where white space and ``\`` are ``\ooo``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def as_text(name: str) -> str:
    """Return a name from such a file with the bytes escaped that are not UTF-8.

    Control characters stay, as in other names of evidence: a terminal's side escapes them.
    """
    return os.fsencode(name).decode(errors="backslashreplace")
