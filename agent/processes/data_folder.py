"""The folder of ``--data-dir``, made and checked before privileges are dropped.

Its files are made later, by the user that the serving process has become by then, so nothing of
root's can be opened, replaced or given away through it. Standard library only.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

MODE = 0o700
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def ensure(path: str, uid: int, gid: int) -> None:
    """Make sure that a folder is this user's alone; make it if only it is missing.

    ``path`` is absolute. Raises OSError with the path and the cure in its text.
    """
    with explained(path):
        _ensure(path, uid, gid)


def check(path: str, uid: int) -> bool:
    """Do what `ensure` does without making anything; return whether the folder is there.

    Raises OSError with the path and the cure in its text.
    """
    parent, name = os.path.split(path)
    with explained(path), contextlib.ExitStack() as closing:
        above = os.open(parent, FOLDER)
        closing.callback(os.close, above)
        try:
            folder = _opened(name, above)
        except FileNotFoundError:
            return False
        closing.callback(os.close, folder)
        _check(os.fstat(folder), uid)
    return True


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Add the path and the cure to what is raised meanwhile."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.ENOENT:
            why += ": make the folder that it is to be in first; the agent makes only the last one"
        raise OSError(error.errno, f"--data-dir {path}: {why}") from None


def _ensure(path: str, uid: int, gid: int) -> None:
    parent, name = os.path.split(path)
    with contextlib.ExitStack() as closing:
        above = os.open(parent, FOLDER)
        closing.callback(os.close, above)
        missing = _make(name, above)
        folder = _opened(name, above)
        closing.callback(os.close, folder)
        if missing:
            _give(folder, uid, gid)
        _check(os.fstat(folder), uid)


def _make(name: str, above: int) -> bool:
    """Make a folder that nobody else can enter; return whether it was missing."""
    try:
        os.mkdir(name, MODE, dir_fd=above)
    except FileExistsError:
        return False
    return True


def _give(folder: int, uid: int, gid: int) -> None:
    """Give away the folder that was just made, but none with files that has taken its place.

    Whoever owns the folder above it can swap them.
    """
    if os.listdir(folder):
        raise OSError(errno.EEXIST, "it was replaced while it was being made")
    os.fchown(folder, uid, gid)


def _opened(name: str, above: int) -> int:
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except NotADirectoryError:
        raise OSError(errno.ENOTDIR, "it is a link, or no folder; give the folder itself") from None


def _check(found: os.stat_result, uid: int) -> None:
    if found.st_uid != uid:
        raise OSError(
            errno.EPERM,
            f"it belongs to uid {found.st_uid}, not to the serving process's user (uid {uid}):"
            " choose another folder, or chown it",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError(errno.EPERM, "others may enter it: chmod 700 takes that away")
