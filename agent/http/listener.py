"""The listening socket, opened before privileges are dropped (ports below 1024)."""

import contextlib
import socket
from typing import Any

BACKLOG = 1024
"""Length of the accept queue; the kernel limits it to net.core.somaxconn."""

USER_TIMEOUT_MS = 10_000
"""How long sent data may remain unacknowledged, or unsent because the peer's window is full, before
the kernel closes the connection (TCP_USER_TIMEOUT, tcp(7)). Accepted sockets inherit it."""


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket listening on the first address of ``host``; port 0 picks a free port.

    Raises `OSError` with ``host:port`` in its text: address in use, address not local, not
    permitted, or unknown name.
    """
    try:
        family, kind, protocol, address = resolved(host, port)
        with contextlib.ExitStack() as unless_listening:
            sock = unless_listening.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            prepare(sock)
            sock.bind(address)
            sock.listen(BACKLOG)
            unless_listening.pop_all()
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot listen on {host}:{port}: {error.strerror}"
        ) from None
    return sock


def resolved(
    host: str, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]:
    """Return family, type, protocol and address of what `open_listener` opens. Raises `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return family, kind, protocol, address


def prepare(sock: socket.socket) -> None:
    """Set the options that accepted sockets inherit, and have nothing wait for this one."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only, and --mock runs elsewhere too
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
