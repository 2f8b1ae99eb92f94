"""URLs of agents: ``http://HOST[:PORT][/PATH]``, ``https://…``, and ``unix:/PATH`` of a socket.

Apart from what connects to them, because options are checked before ``run`` starts git, and git
answers while the rest is imported.
"""

import re
from typing import NamedTuple

UNIX = "unix:"
"""What the URL of a Unix socket begins with; its absolute path follows."""
URL = re.compile(
    r"http(?P<tls>s)?://(?:\[(?P<v6>[^\]/?#@]+)\]|(?P<host>[^\[\]/?#@:]+))(?::(?P<port>\d{1,5}))?(?P<path>/[^?#]*)?",
    re.ASCII | re.IGNORECASE,
)
"""What follows the host is sent as it is. ``urllib.parse`` takes 2 ms to import, which is time that
a command waits for."""
CREDENTIALS = re.compile(r"(?<=//).*@|^(?!.*//).*@", re.DOTALL)
"""What comes before the host in a URL that no agent has; a password may contain anything."""
PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
LARGEST_PORT = 65535
HTTP_PORT, HTTPS_PORT = 80, 443


class Address(NamedTuple):
    """Where an agent listens: at the ``path`` of a Unix socket, else at ``host`` and ``port``."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False
    shown_host: str = "localhost"
    """What requests name as their host."""
    prefix: str = ""
    """What comes before the path of each request."""


def socket_path(url: str) -> str:
    """Return the path in ``unix:/PATH``, as a URL of an agent; empty for any other URL."""
    path = url.removeprefix(UNIX)
    return path if path != url and path.startswith("/") else ""


def without_password(url: str) -> str:
    """Return what may be shown of a text that was to be a URL: no user's name and password."""
    return CREDENTIALS.sub("…@", url)


def address_of(url: str) -> Address:
    """Return where the agent at a URL listens. Raises ValueError for what is no such URL."""
    if path := socket_path(url):
        return Address(path)
    found = URL.fullmatch(url) if PRINTABLE.fullmatch(url) else None
    port = int(found["port"] or 0) if found else 0
    if not found or port > LARGEST_PORT:
        raise ValueError(
            f"{without_password(url) or repr(url)} is not the URL of an agent"
            " (expected http://HOST:PORT or unix:/PATH, or https://HOST:PORT)"
        )
    tls, host = found["tls"] is not None, (found["v6"] or found["host"]).lower()
    shown = f"[{host}]" if found["v6"] else host
    return Address(
        host=host,
        port=port or (HTTPS_PORT if tls else HTTP_PORT),
        tls=tls,
        shown_host=f"{shown}:{port}" if port else shown,
        prefix=(found["path"] or "").rstrip("/"),
    )
