"""Where a store is, and files that only their user can have put there.

SQLite opens its files by path, and follows links: whoever may write to the folder decides what it
opens. So the folder of a store that is written to is the user's own, or root's, and neither it nor
a file of the store is a link.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.store import errors
from agent.store.errors import Damaged, StoreError
from agent.store.waiting import Wait

NAME, FILE = "chainbench-agent", "runs.db"
ROOT = Path("/")
BESIDE = ("-wal", "-shm")
"""What SQLite appends to the name of a database, for its write-ahead log and its index."""
LOCK = "-lock"
OWN_FOLDER, OWN_FILE = 0o700, 0o600
LOOK_S = 0.05


def default_path() -> Path:
    """Return the path of the store of the user that this process is.

    It is below XDG_STATE_HOME, or else ~/.local/state (XDG Base Directory Specification). What
    root keeps is never in the home of another user, whatever sudo has left in the environment.
    Raises `StoreError` if there is no home directory.
    """
    homes = list(_state_homes())
    for home in homes:
        if os.geteuid() != 0 or _is_roots(home):
            return home / NAME / FILE
    if homes:
        _check_root_folder(os.lstat(ROOT))
        raise StoreError(
            f"root keeps runs only where all folders are root's, and not in {homes[0]}: set "
            "XDG_STATE_HOME to such a folder"
        )
    raise StoreError("there is no home directory to keep runs in: set HOME or XDG_STATE_HOME")


def _state_homes() -> Iterator[Path]:
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):  # the specification has relative paths ignored
        yield Path(given)
    for home in (os.environ.get("HOME", ""), _home_of_account()):
        if os.path.isabs(home):
            yield Path(home, ".local", "state")


def _home_of_account() -> str:
    import pwd  # most users have HOME

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def _is_roots(path: Path) -> bool:
    """Return whether a folder, as far as it exists, and all those above it are root's."""
    there = (folder for folder in (path, *path.parents) if os.path.lexists(folder))
    return all(os.lstat(folder).st_uid == 0 for folder in there)


@contextlib.contextmanager
def folder_of(path: Path, *, make: bool = True) -> Iterator[int]:
    """Yield a descriptor of a store's folder, which is made if it is missing and ``make``.

    Raises OSError, and `StoreError` if the folder cannot be trusted.
    """
    _check_above(path.parent)
    if make:
        _make_folder(path.parent)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise StoreError(f"{path.parent} is a link or no folder: remove it") from None
    try:
        _check_folder(folder, path.parent)
        yield folder
    finally:
        os.close(folder)


def _check_above(folder: Path) -> None:
    """Raise `StoreError` if somebody else can put another folder in the place of root's.

    That is who owns one of the folders above it, or a link on the way. In a sticky one, as /tmp,
    nobody else renames what is there (inode(7)).
    """
    if os.geteuid() != 0:
        return
    _check_root_folder(os.lstat(ROOT))
    absolute = folder.absolute()
    for above in {*absolute.parents, *Path(os.path.realpath(absolute)).parents}:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            _check_one_above(os.lstat(above), above)


def _check_one_above(found: os.stat_result, path: Path) -> None:
    if found.st_uid != 0:
        raise StoreError(
            f"{path} belongs to another user (uid {found.st_uid}), who decides what is opened below"
            " it: do this as that user"
        )
    everybody, sticky = found.st_mode & stat.S_IWOTH, found.st_mode & stat.S_ISVTX
    if stat.S_ISDIR(found.st_mode) and everybody and not sticky:
        raise StoreError(f"everybody may write to the folder {path}: chmod o-w takes that away")


def _check_root_folder(found: os.stat_result) -> None:
    """Raise `StoreError` where / is another user's: then no folder is root's with all above it.

    That is so in a user namespace made by anyone but the machine's root, whose files have no owner
    there.
    """
    if found.st_uid != 0:
        raise StoreError(
            "root keeps runs only where all folders are root's, and here / itself is not (it"
            f" belongs to uid {found.st_uid}), as in a user namespace: have run save them (--json"
            " FILE), and keep them outside of it (chainbench-agent runs import FILE)"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StoreError(f"{error.filename} is no folder") from None
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=OWN_FOLDER)


def _check_folder(folder: int, path: Path) -> None:
    found = os.fstat(folder)
    if found.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"the folder {path} belongs to another user (uid {found.st_uid}), who decides what is"
            " opened there: do this as that user"
        )
    if found.st_mode & stat.S_IWOTH:
        raise StoreError(f"everybody may write to the folder {path}: chmod o-w takes that away")


@contextlib.contextmanager
def locked(folder: int, path: Path) -> Iterator[None]:
    """Keep others from making, replacing or migrating the store meanwhile.

    The lock is a file of its own: not every file system can lock a folder. Raises OSError, and
    `StoreError` if it stays locked.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = _opened(path.with_name(path.name + LOCK), flags, folder)
    try:
        _wait_for(lock, path)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, path: Path) -> None:
    wait = Wait(path)
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait.is_too_long():
                raise StoreError(
                    f"another process has locked {path} for {errors.LOCKED_S:g} s"
                ) from None
            time.sleep(LOOK_S)


def _opened(path: Path, flags: int, folder: int) -> int:
    """Open a file of the folder; an error names it with the folder."""
    try:
        return os.open(path.name, flags, OWN_FILE, dir_fd=folder)
    except OSError as error:
        error.filename = str(path)
        raise


def make_file(folder: int, path: Path) -> None:
    """Make a store's file, empty, if it is missing. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        os.close(_opened(path, flags, folder))


def check_files(folder: int, path: Path) -> None:
    """Raise `StoreError` if a file of the store cannot be trusted. Raises OSError."""
    for name in (path.name, *(path.name + suffix for suffix in BESIDE)):
        with contextlib.suppress(FileNotFoundError):
            _check_file(os.stat(name, dir_fd=folder, follow_symlinks=False), path.with_name(name))


def _check_file(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is {_kind(found)}, and runs are kept in a file")
    if found.st_uid not in (os.geteuid(), 0):
        raise StoreError(f"{path} belongs to another user (uid {found.st_uid})")


def _kind(found: os.stat_result) -> str:
    """Return what is no regular file."""
    if stat.S_ISLNK(found.st_mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"


def check_log(path: Path) -> None:
    """Raise `Damaged` for the log of a file that is gone: SQLite deletes it for a new file.

    The file of a log is never empty, since SQLite begins the log later. Raises OSError.
    """
    log = Path(f"{path}{BESIDE[0]}")
    size = path.stat().st_size if path.exists() else 0
    if size == 0 and log.exists() and log.stat().st_size > 0:
        raise Damaged(
            f"{path} is missing or empty, but not its log {log}, which may hold runs: move the file"
            f" back if it was moved, or else move the log away"
        )


def identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file that is no link. Raises OSError."""
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino


def put_aside(path: Path) -> Path:
    """Rename a damaged store and the files next to it; return its new path. Raises OSError.

    Call this with the store locked.
    """
    aside = _unused(path, f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    # the log goes first: a new database must not be opened with the old one's
    for suffix in (*BESIDE, ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def _unused(path: Path, suffix: str) -> Path:
    names = (f"{path.name}.{suffix}", *(f"{path.name}.{suffix}-{n}" for n in range(2, 1000)))
    return next(found for name in names if not os.path.lexists(found := path.with_name(name)))
