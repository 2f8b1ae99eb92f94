"""Runs the agent's command line as if this were not Linux: what only Linux has is missing.

A program: ``python elsewhere.py ARGUMENTS``. Waiting for sockets is left to Trio, which has other
means on other systems; ``sys.platform`` with it, by which Trio and the standard library choose.
"""

import ctypes
import errno
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
import tempfile
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any, NoReturn

MISSING: dict[ModuleType, tuple[str, ...]] = {
    os: (
        *("memfd_create", "pidfd_open", "eventfd*", "timerfd_*", "pipe2", "getrandom", "waitid*"),
        *("sched_getaffinity", "sched_setaffinity", "sched_[gs]et[ps]*", "sched_rr_get_interval"),
        *("getres[ug]id", "setres[ug]id", "*xattr", "setns", "unshare"),
        *("splice", "copy_file_range", "posix_fallocate", "posix_fadvise", "fdatasync"),
        *("O_PATH", "O_NOATIME", "O_DIRECT", "O_TMPFILE", "O_LARGEFILE", "O_RSYNC", "RTLD_DEEP*"),
        *("EFD_*", "TFD_*", "MFD_*", "GRND_*", "RWF_*", "SPLICE_*", "POSIX_FADV_*", "XATTR_*"),
        *("P_PIDFD", "PIDFD_*", "CLONE_*", "SCHED_BATCH", "SCHED_IDLE", "SCHED_RESET_ON_FORK"),
        *("ST_APPEND", "ST_MANDLOCK", "ST_NO[ADE]*", "ST_RELATIME", "ST_SYNCHRONOUS", "ST_WRITE"),
    ),
    fcntl: (
        *("F_OFD_*", "F_ADD_SEALS", "F_GET_SEALS", "F_SEAL_*", "F_GETPIPE_SZ", "F_SETPIPE_SZ"),
        *("F_NOTIFY", "F_[GS]ETSIG", "F_[GS]ETLEASE", "F_[GS]ETLK64", "F_SETLKW64", "DN_*"),
        *("F_EXLCK", "F_SHLCK", "LOCK_MAND", "LOCK_READ", "LOCK_WRITE", "LOCK_RW"),
    ),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI", "CLOCK_MONOTONIC_RAW", "pthread_getcpuclockid"),
    socket: (
        *("SOCK_SEQPACKET", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "MSG_CMSG_CLOEXEC", "MSG_MORE"),
        *("MSG_CONFIRM", "MSG_ERRQUEUE", "MSG_FASTOPEN", "SCM_CREDENTIALS", "SO_PEER*", "SO_PASS*"),
        *("SO_BINDTODEVICE", "SO_DOMAIN", "SO_PROTOCOL", "SO_INCOMING_CPU", "SO_MARK"),
        *("SO_PRIORITY", "SO_VM_*", "SO_J1939_*", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"),
        *("AF_CAN", "AF_TIPC", "AF_RDS", "AF_QIPCRTR", "NETLINK_*", "PACKET_*", "ALG_*", "CAN_*"),
        *("TIPC_*", "IP_TRANSPARENT", "IP_BIND_ADDRESS_NO_PORT", "TCP_CONGESTION", "TCP_CORK"),
        *("TCP_DEFER_ACCEPT", "TCP_INFO", "TCP_KEEPIDLE", "TCP_LINGER2", "TCP_QUICKACK"),
        *("TCP_SYNCNT", "TCP_USER_TIMEOUT", "TCP_WINDOW_CLAMP"),
    ),
    signal: (
        *("SIGSTKFLT", "SIGPWR", "SIGPOLL", "SIGCLD", "SIGRTMIN", "SIGRTMAX"),
        *("sigtimedwait", "sigwaitinfo", "pidfd_send_signal"),
    ),
    mmap: (
        *("MAP_POPULATE", "MAP_STACK", "MAP_DENYWRITE", "MAP_EXECUTABLE", "MADV_*HUGEPAGE"),
        *("MADV_DO*FORK", "MADV_DO*DUMP", "MADV_*MERGEABLE", "MADV_HWPOISON", "MADV_REMOVE"),
    ),
    resource: (
        *("prlimit", "RUSAGE_THREAD", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_OFILE"),
        *("RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING"),
    ),
    select: ("epoll", "EPOLL*", "POLLRDHUP", "POLLMSG"),
    errno: (
        *("EADV", "EBADE", "EBADFD", "EBADR*", "EBADSLT", "EBFONT", "ECHRNG", "ECOMM", "EDEADLOCK"),
        *("EDOTDOT", "EISNAM"),
        *("EKEY*", "EL2*", "EL3*", "ELIB*", "ELNRNG", "EMEDIUMTYPE", "ENAVAIL", "ENOANO"),
        *("ENOCSI", "ENOKEY", "ENOMEDIUM", "ENONET", "ENOPKG", "ENOTNAM", "ENOTUNIQ", "EREMCHG"),
        *("EREMOTEIO", "ERESTART", "ERFKILL", "ESRMNT", "ESTRPIPE", "EUCLEAN", "EUNATCH", "EXFULL"),
    ),
}
"""Patterns of what Python has on Linux and not on macOS, by typeshed's stubs or in fact; without
families of sockets that nothing here would use."""
LINUX_SIDE = (
    "bcc",
    "agent.streams.supervisor",
    "agent.streams.compiler",
    "agent.streams.shared.bpf",
    "agent.streams.collect.collector",
    *(f"agent.streams.drain.{module}" for module in ("client", "transport", "perf", "wakeups")),
)
"""Modules that speak to a kernel or to the privileged side."""
FILES = ("/proc", "/sys", "/run", "/dev/shm", "/etc/os-release", "/usr/lib/os-release")


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


def is_linuxs(path: Any) -> bool:
    """Whether a path is in one of Linux's file systems or a file of its distributions."""
    if isinstance(path, int):
        return False
    name = os.fsdecode(path)
    return any(name == root or name.startswith(f"{root}/") for root in FILES)


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Let nothing of Linux's be opened or listed, and no socket have an abstract name."""
    if event in ("open", "os.listdir", "os.scandir") and is_linuxs(arguments[0] or "."):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
    if event in ("socket.bind", "socket.connect") and str(arguments[1]).startswith("\0"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def hide_files() -> None:
    """Let no file of Linux's be looked at: no audit event tells of that."""
    allowed = os.access
    for name in ("stat", "lstat", "readlink", "statvfs"):
        vars(os)[name] = hiding(vars(os)[name])
    vars(os)["access"] = lambda path, *rest, **options: (
        not is_linuxs(path) and allowed(path, *rest, **options)
    )


def hiding(look: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a path that finds nothing of Linux's."""

    def looked(path: Any, *rest: Any, **options: Any) -> Any:
        if is_linuxs(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return look(path, *rest, **options)

    return looked


def leave_trio_its_own(module: ModuleType) -> None:
    """Give Trio a copy of a module, from which nothing will be missing."""
    from trio._core import _io_epoll

    whole = ModuleType(module.__name__)
    vars(whole).update(vars(module))
    vars(_io_epoll)[module.__name__] = whole


def leave_linux() -> None:
    leave_trio_its_own(select)
    for module, patterns in MISSING.items():
        for name in [n for n in vars(module) if any(fnmatchcase(n, p) for p in patterns)]:
            del vars(module)[name]
    hide_files()
    vars(tempfile)["_O_TMPFILE_WORKS"] = False  # found out while it was imported
    vars(ctypes)["CDLL"] = NoLibrary
    vars(platform).update(system=lambda: "Darwin", machine=lambda: "arm64")
    sys.meta_path.insert(0, Refused())
    sys.addaudithook(refuse)


if __name__ == "__main__":
    leave_linux()
    from agent import cli

    sys.exit(cli.main())
