"""How much is kept: by age, number and size. What belongs together goes together.

What was kept last always stays, however large it is.
"""

import math
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


ENTRIES = """
SELECT coalesce(series, -number) AS entry, max(kept_at) AS kept, max(number) AS last,
       count(*) AS runs, sum(bytes) AS bytes
FROM runs GROUP BY entry
"""
"""A series, or a run of its own."""
SUMS = f"""
SELECT entry, kept, last, sum(runs) OVER newest AS runs, sum(bytes) OVER newest AS bytes,
       row_number() OVER newest AS place
FROM ({ENTRIES}) WINDOW newest AS (ORDER BY kept DESC, last DESC)
"""
DELETE = f"""
DELETE FROM runs WHERE coalesce(series, -number) IN (
    SELECT entry FROM ({SUMS})
    WHERE place > 1 AND (kept < ? OR runs > ? OR bytes > ?)
)
"""
LONELY = "DELETE FROM series WHERE number NOT IN (SELECT series FROM runs WHERE series NOTNULL)"


def limits_of(connection: sqlite3.Connection) -> Limits:
    """Return the limits that a store has. Raises sqlite3.Error."""
    return Limits(**dict(connection.execute("SELECT name, value FROM limits").fetchall()))


def set_limits(connection: sqlite3.Connection, limits: Limits) -> None:
    """Have a store remember its limits. Raises sqlite3.Error."""
    known = limits._asdict().items()
    connection.executemany("INSERT OR REPLACE INTO limits VALUES (?, ?)", list(known))


def enforce(connection: sqlite3.Connection, limits: Limits) -> int:
    """Delete what is beyond the limits; return how many runs that were. Raises sqlite3.Error."""
    if not _exceeds(connection, limits):
        return 0
    oldest = time.time() - limits.days * DAY_S if math.isfinite(limits.days) else -math.inf
    deleted = connection.execute(DELETE, [oldest, limits.runs, limits.bytes]).rowcount
    connection.execute(LONELY)
    return deleted


def _exceeds(connection: sqlite3.Connection, limits: Limits) -> bool:
    """Return whether there may be something to delete; much quicker than to find out what."""
    totals = "SELECT count(*), coalesce(sum(bytes), 0), min(kept_at) FROM runs"
    runs, size, oldest = connection.execute(totals).fetchone()
    too_old = oldest is not None and (time.time() - oldest) / DAY_S > limits.days
    return runs > limits.runs or size > limits.bytes or too_old


def give_back(connection: sqlite3.Connection) -> None:
    """Return pages that nothing uses to the file system. Raises sqlite3.Error."""
    # one page a step: all rows are to be fetched
    connection.execute("PRAGMA incremental_vacuum").fetchall()
