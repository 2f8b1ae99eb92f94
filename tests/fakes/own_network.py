"""A network of one's own: no agent of this machine answers on its default port. Needs root.

Run as a script, this brings the loopback interface up and becomes the command that follows.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator, Sequence

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1

_libc = ctypes.CDLL(None, use_errno=True)


def in_own_network(command: Sequence[str]) -> list[str]:
    """Return the command with a prefix that keeps its process id."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    return [unshare, "--net", "--", sys.executable, "-IS", __file__, *command]


@contextlib.contextmanager
def own_network(address: str) -> Iterator[None]:
    """Put this thread, and what it starts, into such a network, in which ``address`` is local."""
    with open("/proc/thread-self/ns/net", "rb") as before:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            _bring_up(address)
            yield
        finally:
            _check(_libc.setns(before.fileno(), CLONE_NEWNET))


def _bring_up(address: str | None = None) -> None:
    """Bring the loopback interface up, and give it one more address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        if address is not None:
            local = struct.pack("=16sHxx4s16x", b"lo:1", socket.AF_INET, socket.inet_aton(address))
            fcntl.ioctl(any_socket, SIOCSIFADDR, local)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    _bring_up()
    os.execvp(sys.argv[1], sys.argv[1:])
