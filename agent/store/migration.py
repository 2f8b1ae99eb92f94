"""From the tables of an earlier version to those of today, with a copy made first."""

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

STEPS: Mapping[int, str] = {}
"""By version: the SQL that makes the next version of it. Version 1 is the first."""


def migrate(
    connection: sqlite3.Connection, path: Path, steps: Mapping[int, str], newest: int
) -> Path:
    """Bring a store up to date, all steps or none; return the path of the copy made before.

    Raises sqlite3.Error and OSError; the store is as it was then.
    """
    [version] = connection.execute("PRAGMA user_version").fetchone()
    backup = _backup(connection, path.with_name(f"{path.name}.schema-{version}"))
    script = "".join(
        f"{steps[old]}; PRAGMA user_version = {old + 1};" for old in range(version, newest)
    )
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    except sqlite3.Error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return backup


def _backup(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy the whole database to a file, which replaces what is there once it is complete."""
    unfinished = path.with_name(f"{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        unfinished.unlink()
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(unfinished)) as copy:
        connection.backup(copy)
    os.replace(unfinished, path)
    return path
