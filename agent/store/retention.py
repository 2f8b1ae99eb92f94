"""How much is kept: by age, number and size. What belongs together goes together.

The entries that were kept first go first. What was kept last always stays, however large it is.

A clock may be wrong: a machine boots in 1970, or its clock jumps a year ahead. So an entry is too
old only if the runs that were kept after it say so as well, one pause after the other, and a pause
counts as half of the limit at most. A clock that is set back takes away as much.
"""

import sqlite3
import time
from typing import NamedTuple

DAY_S = 86400.0


class Limits(NamedTuple):
    """The most that is kept. ``math.inf`` means no limit."""

    days: float = 365.0
    """Days since a run was kept, not since it was made: one that is imported may be old."""
    runs: float = 10_000
    bytes: float = 1 << 30
    """Sum of the compressed documents. The file is a little larger."""


class _Entry(NamedTuple):
    """A series, or a run of its own."""

    number: int
    """Of the series, or the run."""
    is_series: bool
    newest: int
    """The number of the run that was kept last."""
    runs: int
    bytes: int


def limits_of(connection: sqlite3.Connection) -> Limits:
    """Return the limits that a store has. Raises sqlite3.Error, and ValueError for others."""
    known = dict(connection.execute("SELECT name, value FROM limits").fetchall())
    for name, value in known.items():
        if name not in Limits._fields or not isinstance(value, float):
            raise ValueError(f"{name!r:.40} is {value!r:.40}")
    return Limits(**known)


def set_limits(connection: sqlite3.Connection, limits: Limits) -> None:
    """Have a store remember its limits. Raises sqlite3.Error."""
    known = limits._asdict().items()
    connection.executemany("INSERT OR REPLACE INTO limits VALUES (?, ?)", list(known))


def enforce(connection: sqlite3.Connection, limits: Limits) -> int:
    """Delete what is beyond the limits; return how many runs that were. Raises sqlite3.Error."""
    runs, size, newest = _totals(connection)
    too_old = _last_too_old(connection, limits.days * DAY_S)
    deleted = 0
    while (entry := _oldest(connection)) is not None and entry.newest != newest:
        if runs <= limits.runs and size <= limits.bytes and entry.newest > too_old:
            break
        _delete(connection, entry)
        runs, size, deleted = runs - entry.runs, size - entry.bytes, deleted + entry.runs
    return deleted


def delete_lonely_series(connection: sqlite3.Connection) -> None:
    """Delete series whose runs have all been deleted. Raises sqlite3.Error."""
    with_runs = "SELECT series FROM runs WHERE series NOTNULL"
    connection.execute(f"DELETE FROM series WHERE number NOT IN ({with_runs})")


def give_back(connection: sqlite3.Connection) -> None:
    """Return pages that nothing uses to the file system. Raises sqlite3.Error."""
    # one page a step: all rows are to be fetched
    connection.execute("PRAGMA incremental_vacuum").fetchall()


def _totals(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the number of runs, the sum of their sizes, and the number of the last one."""
    query = "SELECT count(*), coalesce(sum(bytes), 0), coalesce(max(number), 0) FROM runs"
    runs, size, newest = connection.execute(query).fetchone()
    return runs, size, newest


def _oldest(connection: sqlite3.Connection) -> _Entry | None:
    """Return the entry of which a run was kept first; None if there is none."""
    first = connection.execute("SELECT number, series FROM runs ORDER BY number LIMIT 1").fetchone()
    if first is None:
        return None
    number, series = first
    column, own = ("number", number) if series is None else ("series", series)
    query = f"SELECT max(number), count(*), sum(bytes) FROM runs WHERE {column} = ?"
    return _Entry(own, series is not None, *connection.execute(query, [own]).fetchone())


def _last_too_old(connection: sqlite3.Connection, limit_s: float) -> int:
    """Return the number up to which all runs are too old, by the clock and by the later runs."""
    now = time.time()
    first = connection.execute("SELECT kept_at FROM runs ORDER BY number LIMIT 1").fetchone()
    if first is None or first[0] >= now - limit_s:
        return 0
    later, age, found = now, 0.0, 0
    newest_first = "SELECT number, kept_at FROM runs ORDER BY number DESC"
    for number, kept_at in connection.execute(newest_first):
        age += max(-limit_s / 2, min(later - kept_at, limit_s / 2))
        later = kept_at
        is_too_old = age >= limit_s and kept_at < now - limit_s
        found = (found or number) if is_too_old else 0
    return found


def _delete(connection: sqlite3.Connection, entry: _Entry) -> None:
    """Delete an entry; what refers to it goes with it."""
    table = "series" if entry.is_series else "runs"
    connection.execute(f"DELETE FROM {table} WHERE number = ?", [entry.number])
