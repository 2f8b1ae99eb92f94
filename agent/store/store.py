"""One SQLite file of kept runs, open."""

import contextlib
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.store import errors, names, place, retention
from agent.store.documents import is_id, same_content
from agent.store.errors import Damaged, explained
from agent.store.names import JOINED
from agent.store.names import Entry as Entry
from agent.store.retention import Limits
from agent.store.rows import (
    COLUMNS,
    SHOWN,
    Packed,
    Summary,
    pack,
    packed,
    row_of,
    run_of,
    summary_of,
    unpack,
)
from agent.store.run import IMPORT, PARTIAL, KeptRun, KeptSeries
from agent.store.selection import Selection
from agent.store.waiting import Wait

BRIEFLY_MS = 200

_QUOTED = ", ".join(f'"{name}"' for name in COLUMNS)
_UPDATED = ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS)
_WRITE = (
    f"INSERT INTO runs ({_QUOTED}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {_UPDATED}"
)
_WRITE_DOCUMENTS = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)"
_SELECTED = ", ".join("series.id" if name == "series" else f'runs."{name}"' for name in SHOWN)
_FIND = f"SELECT {_SELECTED} {JOINED} WHERE {{}} ORDER BY runs.at DESC, runs.number DESC LIMIT ?"
_NO_LIMIT = -1


class Kept(NamedTuple):
    """What became of runs that were to be kept: ids, and the number deleted beyond the limits.

    ``replaced`` were partial, or lacked what their command took. ``known`` were kept already;
    ``differing`` as well, with other content, which was left as it is.
    """

    new: list[str]
    replaced: list[str]
    known: list[str]
    differing: list[str]
    deleted: int


class Store:
    """Kept runs. Made by `agent.store.opening`; one caller at a time, from any thread.

    A series, or a run of its own, is one entry: it is deleted as a whole. All methods raise
    `StoreError`.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, identity: tuple[int, int]
    ) -> None:
        self.path = path
        self.identity = identity
        """Device and inode of the file."""
        self._connection = connection

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Its write-ahead log goes with the last process that has it open."""
        if not self.is_in_place:
            self._write_back()
        self._connection.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this file, which has not been moved or removed.

        It is taken to do so while nobody may look, as in a folder that cannot be searched.
        """
        try:
            return place.identity(self.path) == self.identity
        except PermissionError:
            return True
        except OSError:
            return False

    # --- writing

    def keep(self, runs: Sequence[KeptRun], series: KeptSeries | None = None) -> Kept:
        """Keep runs, all or none, and delete what is then beyond the limits.

        A run that is kept already is left as it is, unless it is partial there, or lacks what its
        command took. ``series`` is that of the runs, which are in it if their ``series`` is its id.
        """
        kept = Kept([], [], [], [], 0)
        with explained(self.path), self._writing():
            for run in runs:
                self._keep(run, series, kept)
            deleted = retention.enforce(self._connection, self._limits())
        return kept._replace(deleted=deleted)

    def delete(self, entries: Collection[Entry]) -> int:
        """Delete entries; return how many runs that were. A run of a series is no entry."""
        deleted = 0
        with explained(self.path), self._writing():
            for entry in entries:
                condition = "series = (SELECT number FROM series WHERE id = ?)"
                own = condition if entry.is_series else "id = ? AND series ISNULL"
                found = self._connection.execute(f"DELETE FROM runs WHERE {own}", [entry.id])
                deleted += found.rowcount
            retention.delete_lonely_series(self._connection)
        return deleted

    @property
    def limits(self) -> Limits:
        with explained(self.path):
            return self._limits()

    def set_limits(self, limits: Limits) -> int:
        """Remember how much to keep, delete what is beyond, and return how many runs that was."""
        with explained(self.path), self._writing():
            retention.set_limits(self._connection, limits)
            return retention.enforce(self._connection, limits)

    # --- reading

    def find(self, selection: Selection) -> Iterator[Summary]:
        """Yield what a list shows of the selected runs, the newest first."""
        condition, values = self._meant(selection).sql()
        limit = _NO_LIMIT if selection.limit is None else selection.limit
        with explained(self.path):
            for row in self._connection.execute(_FIND.format(condition), [*values, limit]):
                yield self._summary(row)

    def entry(self, text: str) -> Entry:
        """Return the entry or run that an id, the beginning of one, ``last`` or ``last~1`` names.

        Raises `NotFound` if there is none, or more than one.
        """
        with explained(self.path):
            found = names.entry(self._connection, text)
        if not is_id(found.id):
            raise Damaged(f"{self.path}: a run in it is damaged: {found.id!r:.40} is no id")
        return found

    def runs(self, entry: Entry) -> list[KeptRun]:
        """Return the run of an entry, or those of a series in their order."""
        condition = "series.id = ?" if entry.is_series else "runs.id = ?"
        with explained(self.path):
            return self._runs(condition, [entry.id], "runs.number")

    def series(self, series_id: str) -> KeptSeries | None:
        """Return a series, without its runs; None if there is none of that id."""
        with explained(self.path):
            query = "SELECT summary FROM series WHERE id = ?"
            found = self._connection.execute(query, [series_id]).fetchone()
            return KeptSeries(series_id, self._unpacked(series_id, found[0])) if found else None

    def select(self, selection: Selection) -> list[KeptRun]:
        """Return the selected runs with their documents, the oldest first."""
        condition, values = self._meant(selection).sql()
        with explained(self.path):
            return self._runs(condition, values)

    # --- steps

    def _write_back(self) -> None:
        """Write the log back to the file, as SQLite does not when it closes one that was moved.

        The log has kept its name, and whoever opens the moved file would not find it.
        """
        with contextlib.suppress(sqlite3.Error):  # one that was opened to read
            self._connection.execute(f"PRAGMA busy_timeout = {BRIEFLY_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all that the block writes, or nothing of it; then give back unused pages."""
        self._begin()
        try:
            yield
            retention.give_back(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it may have been undone already
                self._connection.execute("ROLLBACK")
            raise

    def _begin(self) -> None:
        """Begin to write, as soon as no other process does.

        SQLite's own wait is a short one here: Ctrl-C has no effect before it is over.
        """
        wait = Wait(self.path)
        self._connection.execute(f"PRAGMA busy_timeout = {BRIEFLY_MS}")
        try:
            begun = self._has_begun(or_raise=False)
            while not begun:
                begun = self._has_begun(or_raise=wait.is_too_long())
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {round(errors.LOCKED_S * 1000)}")

    def _has_begun(self, or_raise: bool) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            return True
        except sqlite3.OperationalError as error:
            if or_raise or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False

    def _keep(self, run: KeptRun, series: KeptSeries | None, kept: Kept) -> None:
        stored = next(iter(self._runs("runs.id = ?", [run.id])), None)
        if stored is None:
            self._write(run, series)
            kept.new.append(run.id)
        elif _supersedes(run, stored):
            self._write(run, series)
            kept.replaced.append(run.id)
        else:
            (kept.known if same_content(run, stored) else kept.differing).append(run.id)

    def _write(self, run: KeptRun, series: KeptSeries | None) -> None:
        """Write a run, in place of one that has the same id."""
        own = self._number_of(series) if series and run.series == series.id else None
        documents = packed(run)
        self._connection.execute(_WRITE, row_of(run, own, documents))
        found = self._connection.execute("SELECT number FROM runs WHERE id = ?", [run.id])
        number = found.fetchone()[0]
        self._connection.execute(_WRITE_DOCUMENTS, [number, *documents])

    def _number_of(self, series: KeptSeries) -> int:
        """Return the number of a series, which is kept if it is not yet."""
        query = "SELECT number FROM series WHERE id = ?"
        found = self._connection.execute(query, [series.id]).fetchone()
        if found is not None:
            return int(found[0])
        add = "INSERT INTO series (id, summary) VALUES (?, ?)"
        added = self._connection.execute(add, [series.id, pack(series.summary)])
        assert added.lastrowid is not None
        return added.lastrowid

    def _limits(self) -> Limits:
        try:
            return retention.limits_of(self._connection)
        except ValueError as error:
            raise Damaged(f"{self.path}: its limits are damaged: {error}") from error

    def _meant(self, selection: Selection) -> Selection:
        """Return the selection with commit and series in full: people give the beginning."""
        with explained(self.path):
            return names.in_full(self._connection, selection)

    def _runs(
        self, condition: str, values: Sequence[object], order: str = "runs.at, runs.number"
    ) -> list[KeptRun]:
        query = (
            f"SELECT {_SELECTED}, documents.command, documents.evidence {JOINED}"
            f" JOIN documents ON documents.run = runs.number WHERE {condition}"
            f" ORDER BY {order}"
        )
        return [
            self._run(self._summary(row[:-2]), Packed(*row[-2:]))
            for row in self._connection.execute(query, list(values))
        ]

    def _summary(self, row: Sequence[object]) -> Summary:
        try:
            return summary_of(row)
        except ValueError as error:
            raise Damaged(f"{self.path}: a run in it is damaged: {error}") from error

    def _run(self, found: Summary, documents: Packed) -> KeptRun:
        try:
            return run_of(found, documents)
        except (TypeError, ValueError, zlib.error) as error:
            raise Damaged(f"{self.path}: run {found.id} is damaged: {error}") from error

    def _unpacked(self, own: str, data: bytes) -> dict[str, Any]:
        try:
            return unpack(data)
        except (TypeError, ValueError, zlib.error) as error:
            raise Damaged(f"{self.path}: series {own} is damaged: {error}") from error


def _supersedes(run: KeptRun, stored: KeptRun) -> bool:
    """Return whether a run is the same as a stored one, and whole where that is not."""
    if stored.state == PARTIAL:
        # a service knows its own run; a file that is no further may be anybody's
        return run.state != PARTIAL or run.source != IMPORT
    return bool(run.command) and not stored.command and same_content(run, stored)
