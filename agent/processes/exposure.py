"""Which listening sockets other machines can reach. Standard library only."""

import socket
from collections.abc import Iterable
from typing import Any

from agent.http.host_names import is_loopback
from agent.processes.errors import CannotServe
from agent.settings import Settings

INTERNET = (socket.AF_INET, socket.AF_INET6)


def is_exposed(listener: socket.socket) -> bool:
    """Return whether another machine may connect, as far as the address says."""
    return listener.family in INTERNET and not is_loopback(listener.getsockname()[0])


def check_exposure(settings: Settings, listeners: Iterable[socket.socket], has_token: bool) -> None:
    """Raise `CannotServe` if strangers could start runs and nobody has said that they may."""
    addresses = [listener.getsockname() for listener in listeners if listener.family in INTERNET]
    check_addresses(settings, addresses, has_token)


def check_addresses(
    settings: Settings, addresses: Iterable[tuple[Any, ...]], has_token: bool
) -> None:
    """Do the same for addresses of TCP sockets, which need not be open yet."""
    if has_token and settings.insecure:
        raise CannotServe(
            "--insecure lets everybody in, and a token does not: leave out one of the two"
        )
    exposed = next((address for address in addresses if not is_loopback(address[0])), None)
    if exposed is None or has_token or settings.insecure:
        return
    host, port = exposed[:2]
    raise CannotServe(
        f"on {host} port {port} other machines could start runs and read all evidence: require a"
        " token (--token-file), or say that they may (--insecure), or listen on 127.0.0.1"
    )
