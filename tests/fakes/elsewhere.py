"""Runs the agent's command line as if this were not Linux: what only Linux has is missing.

A program: ``python elsewhere.py ARGUMENTS``. Waiting for sockets is left to Trio, which has other
means on other systems.
"""

import ctypes
import fcntl
import importlib.abc
import importlib.machinery
import mmap
import os
import platform
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

MISSING: dict[ModuleType, tuple[str, ...]] = {
    os: (
        *("memfd_create", "pidfd_open", "eventfd", "sched_getaffinity", "sched_setaffinity"),
        *("setresuid", "setresgid", "getresuid", "getresgid", "getxattr", "setns", "unshare"),
        *("splice", "copy_file_range", "posix_fallocate", "posix_fadvise", "fdatasync", "pipe2"),
        *("setxattr", "listxattr", "getrandom", "O_PATH", "O_NOATIME", "O_DIRECT"),
    ),
    fcntl: (
        *("F_OFD_GETLK", "F_OFD_SETLK", "F_OFD_SETLKW", "F_ADD_SEALS", "F_GET_SEALS"),
        *("F_GETPIPE_SZ", "F_SETPIPE_SZ", "F_NOTIFY", "F_SETLEASE"),
    ),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI", "CLOCK_MONOTONIC_RAW"),
    socket: (
        *("SOCK_SEQPACKET", "SO_PEERCRED", "SO_PASSCRED", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"),
        "TCP_USER_TIMEOUT",
    ),
    signal: (
        *("SIGSTKFLT", "SIGPWR", "SIGPOLL", "SIGRTMIN", "SIGRTMAX"),
        *("sigtimedwait", "sigwaitinfo", "pidfd_send_signal"),
    ),
    mmap: ("MAP_POPULATE", "MADV_HUGEPAGE", "MADV_DONTFORK"),
    resource: ("prlimit",),
}
"""What Python has on Linux only, or not on macOS."""
LINUX_SIDE = (
    "bcc",
    "agent.streams.supervisor",
    "agent.streams.compiler",
    "agent.streams.shared.bpf",
    "agent.streams.collect.collector",
    *(f"agent.streams.drain.{module}" for module in ("client", "transport", "perf", "wakeups")),
)
"""Modules that speak to a kernel or to the privileged side."""
FILES = ("/proc", "/sys")


class Refused(importlib.abc.MetaPathFinder):
    """Refuses to import what is of use on Linux only."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(name == module or name.startswith(f"{module}.") for module in LINUX_SIDE):
            raise ImportError(f"{name} is for Linux only")
        return None


class NoLibrary:
    """The C library of another system: it has none of Linux's functions."""

    def __init__(self, name: str | None, **options: Any) -> None:
        if name is not None:
            raise OSError(f"{name}: cannot open shared object file")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name)


def no_files(event: str, arguments: tuple[Any, ...]) -> None:
    """Let no file of Linux's file systems be opened or listed."""
    if event in ("open", "os.listdir", "os.scandir"):
        path = str(arguments[0])
        if any(path == root or path.startswith(f"{root}/") for root in FILES):
            raise FileNotFoundError(2, os.strerror(2), path)


def leave_trio_its_own(module: ModuleType) -> None:
    """Give Trio a copy of a module, from which nothing will be missing."""
    from trio._core import _io_epoll

    whole = ModuleType(module.__name__)
    vars(whole).update(vars(module))
    vars(_io_epoll)[module.__name__] = whole


def leave_linux() -> None:
    leave_trio_its_own(select)
    for module, names in MISSING.items():
        for name in names:
            vars(module).pop(name, None)
    for name in [name for name in vars(select) if name.lower().startswith("epoll")]:
        del vars(select)[name]
    vars(ctypes)["CDLL"] = NoLibrary
    vars(platform).update(system=lambda: "Darwin", machine=lambda: "arm64")
    sys.meta_path.insert(0, Refused())
    sys.addaudithook(no_files)


if __name__ == "__main__":
    leave_linux()
    from agent import cli

    sys.exit(cli.main())
