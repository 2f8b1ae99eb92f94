"""Files that a result is saved to: checked before anything is measured, written at the end."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from agent.terminal.values import printable

if TYPE_CHECKING:
    from pathlib import Path


ANOTHER = "another option writes to it as well"


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


def why_refused(paths: "Sequence[Path]", inputs: "Sequence[Path]" = ()) -> str | None:
    """Return in words why files cannot all be written, or None; ``inputs`` are read before."""
    if twice := named_twice(paths, inputs):
        also = "it is also read, or written to by another option"
        return f"cannot write {printable(twice)}: {also if inputs else ANOTHER}"
    for path in paths:
        if why := cannot_write(path):
            return f"cannot write {printable(path)}: {why}"
    return None


def named_twice(paths: "Iterable[Path]", inputs: "Iterable[Path]" = ()) -> "Path | None":
    """Return the first of the files to be written that is an input, or named before; or None.

    Pipes and devices can be named as often as one likes.
    """
    seen = [_identity(path) for path in inputs]
    for path in paths:
        own = _identity(path)
        if own is not None and own in seen:
            return path
        seen.append(own)
    return None


def _identity(path: "Path") -> tuple[object, ...] | None:
    """Return what tells a file from all others, whatever it is called; None of a device or pipe."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (os.path.realpath(path),)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def save(path: "Path", text: str) -> str | None:
    """Write a file, and return why it could not be written, or None.

    What was there stays whole until all of the text is written.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        target = os.path.realpath(path)
        if not _is_replaceable(path) or not _replaced(target, data):
            path.write_bytes(data)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _is_replaceable(path: "Path") -> bool:
    """Return whether nobody would notice that it is another file: none is open as /dev/stdout."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _replaced(target: str, data: bytes) -> bool:
    """Write a new file and give it this name. Raises OSError if it cannot be written whole.

    Returns False where nothing can be put into the folder, or no file with the same owner.
    """
    new = os.path.join(os.path.dirname(target), f".chainbench-agent.{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # in place it would be lost
            raise
        return False
    try:
        with open(descriptor, "wb") as file:
            if not _has_owner_of(target, descriptor):
                return False
            file.write(data)
        os.replace(new, target)
    finally:
        with contextlib.suppress(FileNotFoundError):  # it has the other name
            os.unlink(new)
    return True


def _has_owner_of(target: str, descriptor: int) -> bool:
    """Give a new file the owner and the mode of the one that it replaces, if there is one."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return True
    try:
        os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    except PermissionError:
        return False
    return True
