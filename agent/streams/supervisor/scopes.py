"""Whose activity a run is about: from a request to the root of a tree. Privileged side.

A scope arrives as numbers and addresses only. Whose socket is at the other end of a connection
takes the privilege to look into other processes, so it is found out here.
"""

import ipaddress
import os
import socket
import struct
from pathlib import Path

from agent.errors import ScopeError
from agent.streams.shared.messages import Address, ScopeNumbers


def root_of(scope: ScopeNumbers) -> tuple[int, int]:
    """(root tgid, cgroup id) of a scope; without one, the agent's own tree. Raises ScopeError.

    The root is 0 for a cgroup.
    """
    if scope.kind == "cgroup":
        return 0, scope.cgroup_id
    if scope.kind == "pid":
        return _not_ours(_living(scope.pid)), 0
    if scope.kind == "caller":
        return pid_behind(scope.client, scope.server), 0
    return os.getpid(), 0


def _living(pid: int) -> int:
    tgid = _status(pid, "Tgid")
    if tgid is None:
        raise ScopeError(
            f"there is no process {pid} on this machine (seen from the agent)",
            code="no_such_process",
        )
    return tgid


def _not_ours(tgid: int) -> int:
    """The agent is left out of every run, so one about itself would say nothing but zeros."""
    if os.getpid() in (tgid, _status(tgid, "PPid")):
        raise ScopeError(
            f"{tgid} is a process of the agent, which is left out of every run",
            code="scope_is_the_agent",
        )
    return tgid


def _status(pid: int, name: str) -> int | None:
    """A number of /proc/PID/status; None where there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def pid_behind(client: Address, server: Address) -> int:
    """The process at the client's end of a loopback connection. Raises ScopeError."""
    inode = _socket_inode(_packed(client), _packed(server))
    holders = _holders(f"socket:[{inode}]") if inode else []
    if not holders:
        raise ScopeError(
            'the process that made this request cannot be told; use {"pid": N} for the scope',
            code="caller_unknown",
        )
    # forked children may share the connection: the eldest made it
    return min(holders, key=lambda pid: (_start_time(pid), pid))


def _packed(end: Address) -> tuple[bytes, int]:
    host, port = end
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.packed, port


def _socket_inode(local: tuple[bytes, int], remote: tuple[bytes, int]) -> int | None:
    """From /proc/net/tcp and tcp6, whose addresses are 32-bit words in the machine's order."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if _parsed(fields[1]) == local and _parsed(fields[2]) == remote:
                return int(fields[9])
    return None


def _parsed(text: str) -> tuple[bytes, int]:
    address, port = text.split(":")
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
            continue  # gone, or not ours to look at
    return holders


def _start_time(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 1 << 63
    return int(stat[stat.rindex(")") + 2 :].split()[19])


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine can have at its other end."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == socket.AF_UNIX.name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
