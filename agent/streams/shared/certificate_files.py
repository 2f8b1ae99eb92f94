"""The files of ``--tls-cert`` and ``--tls-key``: opened by whoever may, read by who serves.

Standard library only: the supervisor opens them again when the certificate is to be reloaded, since
the process that serves has become a user who need not be able to.
"""

import os
from collections.abc import Sequence

from agent.regular_files import open_regular


def open_all(paths: Sequence[str]) -> list[int]:
    """Return a descriptor for each file. Raises OSError with the path in ``filename``."""
    opened: list[int] = []
    try:
        for path in paths:
            opened.append(open_regular(path))  # noqa: PERF401  if one fails, these are closed
    except OSError:
        close_all(opened)
        raise
    return opened


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
