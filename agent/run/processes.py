"""The processes that a command started: which descend from which, and which outlive the command."""

import contextlib
import ctypes
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)


class Process(NamedTuple):
    pid: int
    parent: int
    group: int
    state: str
    """As in proc(5): Z for one that has ended and is not waited for."""
    command: str


def adopt_orphans() -> None:
    """Become the parent of all descendants that lose theirs (PR_SET_CHILD_SUBREAPER in prctl(2)).

    Otherwise they would become children of process 1, and it would not be known whose they were.
    """
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def reap_orphans(own: Collection[int]) -> None:
    """Wait for adopted children that have ended, until one of our ``own`` is found to have ended.

    That one is not waited for here: how it ended would be lost to the code that started it.
    """
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)


def left_behind(agents_group: int | None) -> list[Process]:
    """Return the living descendants of this process, by pid, except for an agent's.

    Those are known by their process group: if one of them dies, we adopt the others.
    """
    children: dict[int, list[Process]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    parents = [os.getpid()]
    while parents:
        own = [p for p in children.get(parents.pop(), []) if p.group != agents_group]
        parents += [process.pid for process in own]
        found += [process for process in own if process.state not in "ZX"]
    return sorted(found, key=lambda process: process.pid)


def ancestors(pid: int) -> Iterator[int]:
    """Yield the pids of a process's parent, its parent's parent, and so on, as far as known."""
    while (process := _read(pid)) and process.parent:
        pid = process.parent
        yield pid


def _all() -> Iterator[Process]:
    with contextlib.suppress(OSError):  # no /proc
        for name in os.listdir("/proc"):
            if name.isdecimal() and (process := _read(int(name))):
                yield process


def _read(pid: int) -> Process | None:
    """Return what /proc/PID/stat says; None for a process that is not there, or not to be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # text would alter a name's \r
            before, _, after = file.read().decode(errors="replace").rpartition(") ")
        state, parent, group, *_ = after.split()
        return Process(pid, int(parent), int(group), state, before.partition(" (")[2])
    except (OSError, ValueError):  # or something else is mounted over it
        return None
