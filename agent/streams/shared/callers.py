"""The process at the other end of a connection, as far as /proc shows it. Standard library only."""

import ipaddress
import os
import re
import struct
from pathlib import Path

from agent.errors import ScopeError
from agent.streams.shared.messages import Address
from agent.streams.shared.namespaces import why_proc_is_not_ours

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
CONNECTION = re.compile(
    rb"^ *\d+: ([\dA-F]{8,32}:[\dA-F]{4}) ([\dA-F]{8,32}:[\dA-F]{4})(?: +\S+){6} +(\d{1,20}) ",
    re.MULTILINE,
)
"""A row of them: both ends and, as the tenth column, the inode."""


def pid_behind(client: Address, server: Address) -> int:
    """Return the process at the client's end of a loopback connection. Raises ScopeError."""
    if why_not := why_proc_is_not_ours():
        raise ScopeError(
            f"the process that made this request cannot be identified: {why_not}, or use "
            '{"pid": N} for the scope',
            code="caller_unknown",
        )
    inode = _socket_inode(_packed(client), _packed(server))
    holders = _holders(f"socket:[{inode}]") if inode else []
    if not holders:
        raise ScopeError(
            "the process that made this request cannot be identified, for example because it is "
            "outside the pid namespace of the agent, or belongs to another user than an agent that "
            'does not run as root; use {"pid": N} for the scope, or the agent\'s Unix socket',
            code="caller_unknown",
        )
    # forked children may share the connection: the oldest process made it
    return min(holders, key=lambda pid: (_start_time(pid), pid))


def _packed(end: Address) -> tuple[bytes, int]:
    host, port = end
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.packed, port


def _socket_inode(local: tuple[bytes, int], remote: tuple[bytes, int]) -> int | None:
    """Search /proc/net/tcp and tcp6, whose addresses are 32-bit words in host byte order."""
    for table in TABLES:
        try:
            rows = CONNECTION.findall(table.read_bytes())
        except OSError:
            continue
        for ours, theirs, inode in rows:
            if _parsed(ours) == local and _parsed(theirs) == remote:
                return int(inode)
    return None


def _parsed(text: bytes) -> tuple[bytes, int]:
    address, port = text.split(b":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if packed[:12] == bytes(10) + b"\xff\xff":
        packed = packed[12:]
    return packed, int(port, 16)


def _holders(target: str) -> list[int]:
    holders = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(fd) == target for fd in (process / "fd").iterdir()):
                holders.append(int(process.name))
        except OSError:
            continue  # gone, or access denied
    return holders


def _start_time(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()  # the name in it may be no UTF-8
        return int(stat[stat.rindex(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):  # or something else is mounted over it
        return 1 << 63
