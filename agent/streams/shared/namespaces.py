"""Whether /proc is about the pid namespace that we are in. Standard library only."""

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
