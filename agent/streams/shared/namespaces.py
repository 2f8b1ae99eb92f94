"""Numbers of processes in the pid namespace that we are in. Standard library only."""

import os
from pathlib import Path


def proc_is_ours() -> bool:
    """Whether the numbers in /proc are those of our own pid namespace.

    They are not after ``unshare --pid`` without a /proc of its own. ``NSpid`` lists our numbers
    from the namespace of the /proc that is mounted to the one we are in (proc_pid_status(5)).
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    # a kernel without pid namespaces has no such line
    return len(numbers) <= 1


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
