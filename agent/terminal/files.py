"""Files that a result is saved to: checked before anything is measured, written at the end."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def cannot_write(path: "Path") -> str | None:
    """Return why a file could not be written, or None. Keeps what is there.

    A pipe or a device is not tried: opening one and closing it again may mean something to whoever
    reads it.
    """
    try:
        if os.path.exists(path) and not (path.is_file() or path.is_dir()):
            return None
        existed = os.path.lexists(path)
        path.open("ab").close()
        if not existed:
            path.unlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return getattr(error, "strerror", None) or str(error)
    return None


def save(path: "Path", text: str) -> str | None:
    """Write a file, and return why it could not be written, or None."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return error.strerror or str(error)
    return None
