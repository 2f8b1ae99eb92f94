"""A listening Unix socket, opened before privileges are dropped. Standard library only.

The file's mode and group decide who may connect. Who a client is, the kernel says of each
connection (`agent.http.peers`).
"""

import contextlib
import errno
import fcntl
import grp
import os
import socket
import stat
from collections.abc import Iterator

from agent.http.listener import BACKLOG
from agent.settings import SocketFile

LONGEST_PATH = 107
"""Bytes; sun_path has one more, for the NUL (unix(7))."""
NO_GROUP = (1 << 32) - 1
"""-1 to chown(2), which changes nothing then."""


@contextlib.contextmanager
def unix_listener(wanted: SocketFile) -> Iterator[socket.socket]:
    """Listen on the path, and remove the file on leaving, if it is still ours and we may.

    What a killed agent has left there is replaced; nothing else is. The folder is made if only that
    is missing. Raises `OSError` with the path and the cure in its text.
    """
    with explained(wanted):
        sock, identity = _opened(wanted)
    try:
        yield sock
    finally:
        sock.close()
        with contextlib.suppress(OSError):
            if _identity(wanted.path) == identity:
                os.unlink(wanted.path)


def gid_to_have(wanted: SocketFile) -> int | None:
    """Return the number of the group. Raises OSError if that, or the path, cannot be used."""
    gid = _gid(wanted.group)
    if len(os.fsencode(wanted.path)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {LONGEST_PATH} bytes")
    return gid


def _opened(wanted: SocketFile) -> tuple[socket.socket, tuple[int, int]]:
    path, gid = wanted.path, gid_to_have(wanted)
    folder = os.path.dirname(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)
    with _locked(folder), contextlib.ExitStack() as unless_listening:
        _make_way(path)
        sock = unless_listening.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.setblocking(False)
        _bind(sock, path, wanted.mode)
        unless_listening.callback(os.unlink, path)
        if gid is not None:
            os.chown(path, -1, gid, follow_symlinks=False)
        identity = _identity(path)
        sock.listen(BACKLOG)  # nobody could connect before
        unless_listening.pop_all()
    return sock, identity


def _bind(sock: socket.socket, path: str, mode: int) -> None:
    """Bind with this mode from the beginning: a chmod of a path might meet another file there."""
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(path)
    finally:
        os.umask(before)


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens on. Raises OSError for anything else at the path."""
    try:
        abandoned = is_abandoned(path)
    except FileNotFoundError:
        return
    if not abandoned:
        raise OSError(errno.EADDRINUSE, "another process listens there; end it, or choose another")
    os.unlink(path)


def is_abandoned(path: str) -> bool:
    """Return whether nobody listens on a socket any more.

    Raises OSError for a file that is no socket, and if we may not know.
    """
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(
            errno.EEXIST, "a file that is no socket is there; remove it, or choose another"
        )
    refused = _refused(path)
    if refused in (errno.ENOENT, errno.EACCES, errno.EPERM):
        raise OSError(refused, os.strerror(refused))
    return refused == errno.ECONNREFUSED


def _refused(path: str) -> int:
    """Return the errno of connecting; 0 if somebody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other agents from making way at the same time: one would remove the other's socket."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _gid(group: str | None) -> int | None:
    """Return the number of a group. Raises OSError if there can be none like that."""
    if group is None:
        return None
    try:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        gid = NO_GROUP
    if gid >= NO_GROUP:
        raise OSError(errno.EINVAL, f"there is no group {group}")
    return gid


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def explained(wanted: SocketFile) -> Iterator[None]:
    """Add the path and the cure to what is raised meanwhile."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in (errno.EACCES, errno.EPERM):
            why += (
                f" for uid {os.geteuid()}: start the agent as root, or choose a folder of its own"
            )
        elif error.errno == errno.ENOENT:
            why += ": make the folder first; the agent makes only the last one of a path"
        raise OSError(error.errno, f"cannot listen on {wanted.path}: {why}") from None
