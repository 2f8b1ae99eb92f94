"""Why runs could not be kept or read. Each text says what was wrong and what to do."""

import contextlib
import errno
import importlib
from collections.abc import Iterator
from pathlib import Path

LOCKED_S = 30.0
"""How long to wait for another process that writes."""


class StoreError(Exception):
    """Runs could not be kept or read."""


class NoStore(StoreError):
    """There is no file: nothing has been kept yet."""


class Damaged(StoreError):
    """The file is no database, or a broken one."""


class NotFound(StoreError):
    """No kept run is meant, or it is unclear which."""


def require_sqlite() -> None:
    """Raise `StoreError` if this Python was built without SQLite, as some are."""
    try:
        importlib.import_module("sqlite3")
    except ImportError as error:
        raise StoreError(f"this Python cannot keep or read runs: {error}") from error


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise `StoreError` for what the file system and SQLite raise meanwhile."""
    import sqlite3  # here, since comparing files takes a `StoreError` and no database

    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            cure = f"move it away, with {path.name}-wal and -shm if there are, to begin a new one"
            raise Damaged(f"{path} is damaged, or no database ({error}): {cure}") from error
        raise StoreError(f"{path}: {_why(code) or error}") from error
    except OSError as error:
        why = NO_SPACE if error.errno == errno.ENOSPC else error.strerror or error
        raise StoreError(f"{error.filename or path}: {why}") from error


_MAKE_SPACE = (
    "free some of it elsewhere, since deleting runs needs some as well, or move the file, with"
    " those of its name and -wal and -shm, to another one"
)
NO_SPACE = f"no space left on device: {_MAKE_SPACE}"


def _why(code: int) -> str | None:
    """Return what an error code means, where SQLite's own words are not clear."""
    import sqlite3

    return {
        sqlite3.SQLITE_BUSY: f"another process has locked it for {LOCKED_S:g} s",
        sqlite3.SQLITE_FULL: NO_SPACE,
        sqlite3.SQLITE_READONLY: "it is read-only",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened, or its folder cannot be written to",
        sqlite3.SQLITE_IOERR: f"reading or writing failed (is the disk full? then {_MAKE_SPACE})",
    }.get(code)
