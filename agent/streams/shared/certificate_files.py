"""The files of ``--tls-cert`` and ``--tls-key``: opened by whoever may, read by who serves.

Standard library only: the supervisor opens them again when the certificate is to be reloaded, since
the process that serves has become a user who need not be able to.
"""

import os
import stat
from collections.abc import Sequence

LARGEST = 1 << 20
"""Bytes. A chain of certificates has some thousands."""


def open_all(paths: Sequence[str]) -> list[int]:
    """Return a descriptor for each file. Raises OSError with the path in ``filename``."""
    opened: list[int] = []
    try:
        for path in paths:
            opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
                raise OSError(None, "it is no regular file", path)
    except OSError:
        close_all(opened)
        raise
    return opened


def read_all(fds: Sequence[int]) -> list[bytes]:
    """Return what is in the files, and close them. Raises OSError."""
    try:
        return [_content(fd) for fd in fds]
    finally:
        close_all(fds)


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _content(fd: int) -> bytes:
    content = os.pread(fd, LARGEST + 1, 0)
    if len(content) > LARGEST:
        raise OSError(None, f"it has more than {LARGEST} bytes")
    return content
