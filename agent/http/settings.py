"""Limits of the HTTP side, each with the reason for its default."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field


def local_host_names(bound_host: str = "", extra: Iterable[str] = ()) -> frozenset[str]:
    """The names a ``Host`` header may carry: loopback, this machine, the bound name, ``extra``.

    Literal addresses need no entry: a rebinding attack needs a name of the attacker's.
    """
    names = {"localhost", socket.gethostname(), bound_host, *extra}
    return frozenset(name.rstrip(".").lower() for name in names if name)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the application and the server allow a client. Times are seconds, sizes bytes."""

    allowed_hosts: frozenset[str] = field(default_factory=local_host_names)
    """Names accepted in ``Host``, lower case, without port."""

    max_body: int = 64 * 1024
    """The largest body that is parsed; a larger one gets 413."""

    body_timeout: float = 10.0
    """From the end of the headers to the end of the body, else 408."""

    keep_alive_timeout: float = 20.0
    """From one answer (or the connection) to the end of the next request's headers. Not a divisor
    of the usual scrape intervals, so that closing does not race with the next scrape."""

    send_timeout: float = 10.0
    """How long one piece of an answer may wait for a client that does not read."""

    grace: float = 2.0
    """How long requests in flight may go on once shutdown has begun."""

    max_connections: int = 256
    """Beyond it the connection that does least is closed; the new one waits where none may be."""
