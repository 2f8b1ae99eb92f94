"""Who is at the other end of a Unix socket, and what may be done for that user.

Everybody who may connect may use the agent, but only for processes of the same user; root may do
everything. Over TCP there is no telling who asks, and so nothing is checked there.
"""

import socket
import struct
from dataclasses import dataclass

import trio
from quart import request

from agent.errors import ForbiddenUser

PEER = "peer"
"""Key of the `Peer` in the state of a connection (``request.scope["state"]``)."""

_UCRED = struct.Struct("=iII")
"""struct ucred: pid, uid, gid (unix(7))."""
ROOT = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that made a connection."""

    pid: int
    """In our own pid namespace, whichever it made the connection in; 0: it has no number here."""
    uid: int
    """Its effective user then."""

    @property
    def owner(self) -> int | None:
        """The only user whose processes and evidence it may have; None: it may have everybody's."""
        return None if self.uid == ROOT else self.uid


def peer_of(sock: trio.socket.SocketType) -> Peer | None:
    """Return who connected to a socket; None if that was not over a Unix socket."""
    if sock.family != socket.AF_UNIX:
        return None
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(packed)
    return Peer(pid, uid)


def peer() -> Peer | None:
    """Return who sent the request that is being handled; None if it did not come over a socket."""
    state = request.scope.get("state")
    found = state.get(PEER) if state else None
    return found if isinstance(found, Peer) else None


def owner() -> int | None:
    """Return the user whom this request is restricted to; None if it is not."""
    found = peer()
    return None if found is None else found.owner


def check_scope(kind: str) -> None:
    """Raise `ForbiddenUser` if this scope may contain processes of others.

    Whose process a pid is, the supervisor checks: it asks the kernel, at the moment at which the
    number is taken for that process.
    """
    uid = owner()
    if uid is not None and kind not in ("pid", "caller"):
        raise ForbiddenUser(
            f'a scope of "{kind}" is for root: over this socket, uid {uid} may have its own '
            'processes measured; use "caller" or {"pid": N} for the scope, or ask as root (sudo)',
            field="scope",
        )


def check_metrics() -> None:
    """Raise `ForbiddenUser` for a user who may not have everybody's numbers."""
    uid = owner()
    if uid is not None:
        raise ForbiddenUser(
            f"/metrics has the numbers of all users' runs, and is not for uid {uid} over this "
            "socket; take your own from the evidence, or ask as root (sudo)"
        )
