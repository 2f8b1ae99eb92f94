"""Opening a store: to write, which makes what is missing, or to read what there is."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from agent.store import errors, place, schema
from agent.store.errors import Damaged, NoStore, StoreError, explained
from agent.store.run import KeptRun
from agent.store.store import Store

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def open_store(path: Path, on_damage: Callable[[Path], None] | None = None) -> Store:
    """Open a store to read and write, made if it is missing. Close it, or use it as a context.

    One caller at a time may use it, from any thread. A file that is damaged is renamed if there is
    ``on_damage``, which is called with its new path, and a new one is begun. Raises `StoreError`:
    `Damaged` without ``on_damage``.
    """
    with explained(path), place.folder_of(path) as folder, place.locked(folder, path):
        place.make_file(folder, path)
        place.check_files(folder, path)
        try:
            place.check_log(path)
            return _opened(path)
        except Damaged:
            if on_damage is None:
                raise
        on_damage(place.put_aside(path))
        place.make_file(folder, path)
        return _opened(path)


def open_to_read(path: Path) -> Store:
    """Open a store that is there, also in a folder that cannot be written to.

    It is brought up to date where it can be. Raises `StoreError`: `NoStore` if there is none.
    """
    with explained(path):
        try:
            os.lstat(path)  # not lexists, for which what may not be looked at does not exist
        except FileNotFoundError:
            raise NoStore(f"no runs are kept in {path} yet") from None
        with place.folder_of(path, make=False) as folder:
            place.check_files(folder, path)
            try:
                with place.locked(folder, path):
                    return _opened(path)
            except OSError as error:
                if error.errno not in READ_ONLY:
                    raise
            return _opened_read_only(path)


def check_unopened(path: Path) -> None:
    """Raise what `open_store` would for the file that is there, and change nothing.

    The log is not read, since SQLite writes an index for that: a store with all of its tables in
    the log passes for a new one. Raises `StoreError`: `Damaged` for what would be put aside.
    """
    with explained(path):
        place.check_log(path)
        if not path.exists():
            return
        uri = _to_read(path, is_log_read=False)
        with _connection(uri) as connection, contextlib.closing(connection):
            if not schema.is_new(connection):
                schema.check(connection, path)


def in_memory(runs: Sequence[KeptRun]) -> Store:
    """Return a store of these runs that has no file, to select from them as from one that has."""
    nowhere = Path(":memory:")
    with explained(nowhere), _connection(str(nowhere)) as connection:
        schema.prepare(connection, nowhere)
        store = Store(connection, nowhere, (0, 0))
        store.keep(runs)
        return store


def begin_anew(store: Store) -> tuple[Store, Path | None]:
    """Close a store that turned out to be damaged, and put its file aside; open a new one.

    Return it with the new path of the damaged file; None if another process was first. Raises
    `StoreError`.
    """
    store.close()
    path, aside = store.path, None
    with explained(path), place.folder_of(path) as folder, place.locked(folder, path):
        if os.path.lexists(path) and place.identity(path) == store.identity:
            aside = place.put_aside(path)
    return open_store(path), aside


def _opened(path: Path) -> Store:
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    with explained(path), _connection(str(path)) as connection:
        schema.prepare(connection, path)
        return Store(connection, path, place.identity(path))


def _opened_read_only(path: Path) -> Store:
    # without its log there is nothing that a writer could still change behind our back
    uri = _to_read(path, is_log_read=os.path.lexists(f"{path}-wal"))
    with explained(path), _connection(uri) as connection:
        schema.check(connection, path)
        if schema.version_of(connection) < schema.SCHEMA:
            raise StoreError(f"{path} is of an earlier version, and cannot be brought up to date")
        return Store(connection, path, place.identity(path))


def _to_read(path: Path, *, is_log_read: bool) -> str:
    """Return the URI with which SQLite only reads a file (https://sqlite.org/uri.html)."""
    without_log = "" if is_log_read else "&immutable=1"
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=ro{without_log}"


@contextlib.contextmanager
def _connection(database: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection, closed again if the block raises."""
    connection = sqlite3.connect(
        database,
        timeout=errors.LOCKED_S,
        isolation_level=None,
        check_same_thread=False,
        uri=database.startswith("file:"),
    )
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
