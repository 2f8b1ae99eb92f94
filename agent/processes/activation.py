"""Listening sockets that a service manager has opened (sd_listen_fds(3)). Standard library only."""

import contextlib
import os
import socket

from agent.http.listener import prepare
from agent.processes.errors import CannotServe

FIRST = 3
"""SD_LISTEN_FDS_START: what follows the standard streams."""
MOST = 64
FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def inherited_listeners() -> list[socket.socket]:
    """Return the sockets that were passed to this process; none if it was not started with any.

    The variables that say so are removed, since they are not for the processes that this one
    starts. Raises `CannotServe` for what is no listening socket.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    for name in ("LISTEN_FDNAMES", "LISTEN_PIDFDID"):
        os.environ.pop(name, None)
    if pid != str(os.getpid()):
        return []
    # the length first: Python does not convert thousands of digits
    if not (count.isascii() and count.isdecimal() and len(count) <= 20 and int(count) <= MOST):
        raise CannotServe(f"LISTEN_FDS is {count[:20]!r}: it has to be a number from 0 to {MOST}")
    return [_listener(fd) for fd in range(FIRST, FIRST + int(count))]


def _listener(fd: int) -> socket.socket:
    try:
        with contextlib.ExitStack() as unless_listening:
            sock = unless_listening.enter_context(socket.socket(fileno=fd))
            if not _listens(sock):
                raise CannotServe(
                    f"descriptor {fd} of LISTEN_FDS does not listen for connections: use"
                    " ListenStream= with Accept=no"
                )
            sock.set_inheritable(False)
            prepare(sock)
            unless_listening.pop_all()
    except OSError as error:
        raise CannotServe(f"descriptor {fd} of LISTEN_FDS is no socket: {error}") from error
    return sock


def _listens(sock: socket.socket) -> bool:
    is_stream = sock.type == socket.SOCK_STREAM and sock.family in FAMILIES
    return is_stream and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
