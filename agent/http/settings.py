"""Limits of the HTTP side, each with the reason for its default."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.http.access import Access
from agent.http.certificate import Certificate
from agent.words import COMPILE_DEADLINE_S


def local_host_names(bound_host: str = "", extra: Iterable[str] = ()) -> frozenset[str]:
    """Return the names that ``Host`` may carry: loopback, this machine, the bound name, ``extra``.

    Literal addresses need no entry: a rebinding attack needs a name that the attacker controls.
    """
    names = {"localhost", socket.gethostname(), bound_host, *extra}
    return frozenset(name.rstrip(".").lower() for name in names if name)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits that the application and the server place on clients, in seconds and bytes."""

    allowed_hosts: frozenset[str] = field(default_factory=local_host_names)
    """Names accepted in ``Host``, in lower case and without a port."""

    access: Access = field(default_factory=Access)
    """What requests over TCP must carry."""

    certificate: Certificate | None = None
    """What connections over TCP are encrypted with; None: they are not."""

    compile_deadline_s: float = COMPILE_DEADLINE_S
    """How long the agent's probes may take to compile, for clients to know how long a start may."""

    handshake_timeout: float = 10.0
    """Time from accepting a connection to its encryption."""

    max_body: int = 64 * 1024
    """The largest body that is parsed; a larger one gets 413."""

    body_timeout: float = 10.0
    """Time from the end of the headers to the end of the body; if exceeded, 408."""

    keep_alive_timeout: float = 20.0
    """Time from one answer (or from accepting the connection) to the end of the next request's
    headers. Not a divisor of the usual scrape intervals, so that closing does not race with the
    next scrape."""

    send_timeout: float = 10.0
    """How long one piece of an answer may wait for a client that does not read."""

    grace: float = 2.0
    """How long requests in flight may continue once shutdown has begun."""

    max_connections: int = 256
    """Beyond this, an idle or slow connection is closed for a new one, or the new one waits."""
