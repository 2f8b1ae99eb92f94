"""Files of /proc and of control groups, as numbers. Standard library only."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from agent.streams.shared import namespaces
from agent.streams.shared.foreign_names import lines_of

Counts: TypeAlias = dict[str, int]
"""Values by the name of a figure. Times are in ns, and their names end in ``_ms``."""

NUMBER = re.compile(rb"\d{1,20}")
"""At most 64 bits: what has more digits is not the kernel's, and int() refuses more than 4,300."""

PSI = "CONFIG_PSI, and on some distributions psi=1 on the kernel's command line"
OF_EVERY_KERNEL = "/proc/stat"
OF_OURSELVES = ("self", "thread-self")
PROCESSES_ONLY = (
    "/proc shows processes only (its mount option subset=pid); mount it without (systemd: "
    "ProcSubset=all)"
)

_GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV)


class Unreadable(Exception):
    """A file cannot be read, or does not hold what it should; the text says which and why."""

    def __init__(self, text: str, *, is_gone: bool = False) -> None:
        super().__init__(text)
        self.is_gone = is_gone
        """Whether there is no such file or task."""


def content(path: str) -> bytes:
    """Return what a file says; names in it may be any bytes. Raises `Unreadable` if it is empty."""
    found = content_or_nothing(path)
    if not found:
        raise Unreadable(f"{path} is empty: something else may be mounted over it")
    return found


def content_or_nothing(path: str) -> bytes:
    """Return what a file says that may be empty. Raises `Unreadable`."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def number(field: bytes) -> int:
    """Return a count of the kernel's. Raises ValueError for anything else."""
    if not NUMBER.fullmatch(field):
        raise ValueError("no count of the kernel's")
    return int(field)


def numbers_in(path: str) -> list[int]:
    """Return the numbers that are all that a file has, if it has any. Raises `Unreadable`."""
    found = content_or_nothing(path).split()
    with of_the_kernel(path):
        return list(map(number, found))


@contextmanager
def of_the_kernel(path: str) -> Iterator[None]:
    """Raise `Unreadable` where what was read of a file does not have the kernel's form."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise Unreadable(
            f"{path} holds something else than the kernel writes: something may be mounted over it"
        ) from error


def listed(path: str) -> list[str]:
    """Return the names in a folder. Raises `Unreadable`."""
    try:
        return os.listdir(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> Unreadable:
    """Return why a file cannot be read: also that what it would be in is not there."""
    is_gone = error.errno in _GONE
    why_not = _why_proc_lacks(path) if is_gone else ""
    return Unreadable(why_not or f"{path}: {error.strerror}", is_gone=is_gone)


def _why_proc_lacks(path: str) -> str:
    """Return why /proc has nothing of this kind; empty if it has, or the path is elsewhere."""
    top, _, name = path.removeprefix("/").partition("/")
    if top != "proc":
        return ""
    if not namespaces.proc_is_mounted():
        return namespaces.NOT_MOUNTED
    is_of_a_process = name[:1].isdigit() or name.startswith(OF_OURSELVES)
    return "" if is_of_a_process or os.path.exists(OF_EVERY_KERNEL) else PROCESSES_ONLY


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Have `Unreadable` say of a file that is not there what it needs.

    That is not why where /proc is not mounted, or shows processes only (subset=pid).
    """
    try:
        yield
    except Unreadable as error:
        if not (error.is_gone and os.path.exists(OF_EVERY_KERNEL)):
            raise
        raise Unreadable(f"{error}; it needs {what}", is_gone=True) from error


def named(path: str, names: Mapping[bytes, str]) -> Counts:
    """Return the numbers that stand behind these names at the beginning of a line.

    What the file lacks is left out. Raises `Unreadable`.
    """
    rows = (line.replace(b":", b" ").split(maxsplit=2) for line in lines_of(content(path)))
    return {
        names[row[0]]: int(row[1])
        for row in rows
        if len(row) > 1 and row[0] in names and NUMBER.fullmatch(row[1])
    }


def pressure(path: str, name: str) -> Counts:
    """Return for how long tasks were held up (PSI; Documentation/accounting/psi.rst), in ns.

    ``some_ms``: at least one of them was; ``full_ms``: all that were not idle. Raises `Unreadable`.
    """
    found: Counts = {}
    switch = f"{os.path.dirname(path)}/cgroup.pressure"  # only where the kernel has the account
    with needing(f"1 in {switch}" if os.path.exists(switch) else PSI):
        lines = content(path).split(b"\n")
    for line in lines:
        kind, _, rest = line.partition(b" ")
        total = rest.rpartition(b"total=")[2]
        if kind in (b"some", b"full") and NUMBER.fullmatch(total):
            found[f"{name}.{kind.decode()}_ms"] = int(total) * 1000
    return found
