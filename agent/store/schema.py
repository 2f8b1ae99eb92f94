"""The tables of a store, and how they are made.

A list of runs reads small rows: documents are in a table of their own. The version of the tables is
the file's ``user_version``, and its ``application_id`` says whose file it is.
"""

import sqlite3
from pathlib import Path

from agent.store.errors import StoreError
from agent.store.migration import STEPS, migrate

SCHEMA = 1
"""The version of the tables below. It grows with each change to them, and `STEPS` with it."""
APPLICATION_ID = 0x43424152
"""``CBAR``: what sqlite3.application_id of our files is."""
LARGEST_LOG = 4 << 20
"""Bytes that the write-ahead log is cut to after it was written back to the database."""

TABLES = """
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    summary BLOB NOT NULL
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    series INTEGER REFERENCES series ON DELETE CASCADE,
    side TEXT,
    round INTEGER,
    counts INTEGER NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    verdict TEXT NOT NULL,
    owner INTEGER,
    copied INTEGER NOT NULL,
    scenario TEXT NOT NULL,
    impl TEXT NOT NULL,
    variant TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    dataset TEXT NOT NULL,
    machine TEXT NOT NULL,
    kernel TEXT NOT NULL,
    cpus INTEGER,
    cpu_model TEXT NOT NULL,
    started_at TEXT NOT NULL,
    at REAL NOT NULL,
    kept_at REAL NOT NULL,
    wall_ms REAL,
    exit_status INTEGER,
    signal TEXT NOT NULL,
    user_ms REAL,
    system_ms REAL,
    max_resident_bytes INTEGER,
    words TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX runs_by_time ON runs (at, number);
CREATE INDEX runs_by_series ON runs (series);
CREATE INDEX runs_by_size ON runs (bytes);
CREATE TABLE documents (
    run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    command BLOB NOT NULL,
    evidence BLOB NOT NULL
);
CREATE TABLE limits (
    name TEXT PRIMARY KEY,
    value REAL NOT NULL
);
"""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, or bring those of an earlier version up to date.

    Raises `StoreError` for a file of a version that is not known or of another program, and
    sqlite3.Error.
    """
    configure(connection)
    if is_new(connection):
        # before the first table: a file cannot learn to give pages back later
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {SCHEMA}; COMMIT;"
        )
        return
    check(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    if version_of(connection) < SCHEMA:
        migrate(connection, path, STEPS, SCHEMA)


def configure(connection: sqlite3.Connection) -> None:
    """Set what a file does not remember. Raises sqlite3.Error."""
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from somebody else
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreError` for a file of another program or of a version that has no way to ours."""
    [found] = connection.execute("PRAGMA application_id").fetchone()
    if found != APPLICATION_ID:
        raise StoreError(f"{path} is the database of another program")
    if (version := version_of(connection)) > SCHEMA:
        raise StoreError(
            f"{path} was written by a later chainbench-agent (schema {version}; this one knows"
            f" {SCHEMA}): update this one"
        )
    if any(old not in STEPS for old in range(version, SCHEMA)):
        raise StoreError(
            f"{path} is of schema {version}, from which no way leads to {SCHEMA}, the one that"
            f" this chainbench-agent knows: move it away, with {path.name}-wal and -shm if there"
            " are, to begin a new one"
        )


def version_of(connection: sqlite3.Connection) -> int:
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def is_new(connection: sqlite3.Connection) -> bool:
    """Return whether a file has no tables yet, and is no other program's."""
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    [found] = connection.execute("PRAGMA application_id").fetchone()
    return bool(tables == 0 and found == 0)
