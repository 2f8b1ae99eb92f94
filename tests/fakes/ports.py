"""Ports that no other test is given meanwhile."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"


def unused_port() -> int:
    """Return a port to listen on that is free, and not of those that the kernel chooses from.

    Whoever asks for any port, as other tests do, could get one of these before it is used here.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(first // 2, first), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind((HOST, port))
            return port
    raise AssertionError("no port is free")


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port on which nobody listens, nor can during the block."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]
