"""A command in a network of its own: no agent of this machine answers on its default port."""

import shutil
import sys
from collections.abc import Sequence

_UP = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def in_own_network(command: Sequence[str]) -> list[str]:
    """Return the command with a prefix that keeps its process id. Needs root."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    return [unshare, "--net", "--", sys.executable, "-ISc", _UP, *command]
