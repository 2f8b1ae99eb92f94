"""Numbers of processes in the pid namespace that we are in. Standard library only."""

import os
from pathlib import Path

from agent import small_files
from agent.streams.shared.foreign_names import lines_of

PROC = Path("/proc")
NOT_MOUNTED = "/proc is not mounted; mount it (mount -t proc proc /proc)"
FOREIGN = "/proc belongs to another pid namespace than the agent; mount one of its own there"


def proc_is_mounted() -> bool:
    """Whether a /proc is mounted, of whatever namespace: each has this link."""
    return os.path.islink(f"{PROC}/self")


def proc_is_ours() -> bool:
    """Whether the numbers in /proc are those of our own pid namespace."""
    return not why_proc_is_not_ours()


def why_proc_is_not_ours() -> str:
    """Return why the numbers in /proc are not those of our own pid namespace; empty if they are.

    They are not after ``unshare --pid`` without a /proc of its own. ``NSpid`` lists our numbers
    from the namespace of the /proc that is mounted to the one we are in (proc_pid_status(5)).
    """
    if not proc_is_mounted():  # has the link too where we have no number
        return NOT_MOUNTED
    try:
        lines = lines_of(small_files.read(f"{PROC}/self/status"))
    except OSError:
        return FOREIGN
    numbers = next((line.split()[1:] for line in lines if line.startswith(b"NSpid:")), [])
    # a kernel without pid namespaces has no such line
    return FOREIGN if len(numbers) > 1 else ""


def why_proc_lacks_us() -> str:
    """Return why /proc does not have this process, under whatever number; empty if it has."""
    if not proc_is_mounted():
        return NOT_MOUNTED
    return "" if os.path.exists(f"{PROC}/self") else FOREIGN  # the link dangles


def process_exists(pid: int) -> bool:
    """Whether a task of our pid namespace has this number, which zombies keep until reaped.

    kill(2) looks it up without an iterator, and without /proc, which may be of another namespace.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and somebody else's
        return True
    return True
