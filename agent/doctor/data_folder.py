"""Whether runs could be kept in the folder of ``--data-dir``."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.doctor.access import check_access
from agent.doctor.as_user import as_user
from agent.doctor.finding import Finding, failed, ok, warning
from agent.processes import data_folder
from agent.processes.errors import CannotServe
from agent.processes.launch import check_owner_of_data
from agent.settings import Settings
from agent.store import place
from agent.store.errors import Damaged, StoreError, explained, require_sqlite
from agent.words import in_words

ROOM = 1 << 30
"""What the store may grow to by default (``runs limits``)."""
NOT_KEPT = "runs would not be kept"
ALL = os.R_OK | os.W_OK | os.X_OK


def folder_of_runs(settings: Settings, path: str, uid: int | None) -> Finding:
    """Look at the folder as whoever starts the agent, and then as the user that it becomes.

    ``uid`` is that user; None: it stays the one that starts it.
    """
    try:
        check_owner_of_data(settings)
        there = _check(path, os.geteuid() if uid is None else uid)
    except (CannotServe, OSError) as error:
        return failed("data_dir", in_words(error))
    if objection := _of_store(path, uid):
        return warning("data_dir", objection)
    return _room(path, there)


def _check(path: str, uid: int) -> bool:
    """Return whether the folder is there. Raises OSError if it cannot be used or made."""
    there = data_folder.check(path, uid)
    if not there:
        with data_folder.explained(path):
            check_access(f"{os.path.dirname(path)}/", os.W_OK | os.X_OK)
    return there


def _of_store(path: str, uid: int | None) -> str:
    """Return what keeps the serving process from using a store there; empty if nothing does."""
    try:
        require_sqlite()
    except StoreError as error:
        return f"{NOT_KEPT}: {error}"
    from agent.store.opening import check_unopened  # needs SQLite

    def objection() -> str:
        store = Path(path, place.FILE)
        return _to_access(store) or _to_contents(store, check_unopened)

    return as_user(uid, objection)


def _to_access(path: Path) -> str:
    """Return what this process could not do with a store at a path."""
    try:
        with explained(path):
            _check_store(path)
    except StoreError as error:
        return (
            f"{NOT_KEPT}: {error}. The serving process (uid {os.geteuid()}) has to reach the"
            " folder, and to read and write what is in it"
        )
    return ""


def _to_contents(path: Path, check: Callable[[Path], None]) -> str:
    """Return what is wrong with the file of a store that can be accessed, if there is one."""
    try:
        check(path)
    except Damaged as error:
        return f"it would be renamed, and a new store begun: {error}"
    except StoreError as error:
        return f"{NOT_KEPT}: {error}"
    return ""


def _check_store(path: Path) -> None:
    """Raise `StoreError` or OSError if a store could not be opened, or made, and written to."""
    if not os.path.lexists(path.parent):
        check_access(f"{path.parent.parent}/", os.X_OK)
        return
    with place.folder_of(path, make=False) as folder:
        place.check_files(folder, path)
    check_access(f"{path.parent}/", ALL)
    for suffix in ("", *place.BESIDE, place.LOCK):
        if os.path.lexists(file := f"{path}{suffix}"):
            check_access(file, os.R_OK | os.W_OK)


def _room(path: str, there: bool) -> Finding:
    free = shutil.disk_usage(path if there else os.path.dirname(path)).free
    if free < ROOM:
        return warning(
            "data_dir",
            f"{path} has {free >> 20:,} MiB of room, and may grow to 1 GiB: runs limits --size"
            " sets how much is kept",
        )
    what = "is this user's alone" if there else "is missing and will be made"
    return ok("data_dir", f"{path} {what}")
