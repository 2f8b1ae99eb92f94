"""What /proc counts of one process, and of one thread. Standard library only.

Of a process (``stat``, ``io``): all its threads, also those that have ended, and those descendants
that have ended and were waited for (wait_task_zombie() in kernel/exit.c adds them to the parent).
Of a thread (``schedstat``, ``status``): itself, while it lives; nobody adds up what it had.
"""

from typing import NamedTuple

from agent.procfs.files import (
    Counts,
    Unreadable,
    content,
    listed,
    named,
    number,
    of_the_kernel,
)
from agent.streams.shared.foreign_names import lines_of
from agent.streams.shared.kernel_counts import TICK_NS

OF_PROCESSES = ("user_ms", "system_ms", "minor_faults", "major_faults")
OF_IO = {
    b"rchar": "read_chars",
    b"wchar": "written_chars",
    b"syscr": "read_calls",
    b"syscw": "write_calls",
    b"read_bytes": "read_bytes",
    b"write_bytes": "written_bytes",
}
SWITCHES = {
    b"voluntary_ctxt_switches": "voluntary_switches",
    b"nonvoluntary_ctxt_switches": "involuntary_switches",
}
OF_RUN_QUEUE = ("cpu_ms", "wait_ms")
HIDDEN = "/proc hides some of these tasks from the agent (its mount option hidepid)"

# positions behind the name in /proc/PID/stat (proc_pid_stat(5)): there the state is field 3
PARENT, FLAGS, MINOR, ENDED_MINOR, MAJOR, ENDED_MAJOR = 1, 6, 7, 8, 9, 10
USER, SYSTEM, ENDED_USER, ENDED_SYSTEM, START = 11, 12, 13, 14, 19
PF_EXITING = 0x4
"""Set as a task begins to end, and ever after (include/linux/sched.h)."""


class Process(NamedTuple):
    """A process at one moment."""

    parent: int
    start: int
    """When it began, in ticks since boot: with the pid, what identifies it."""
    counts: Counts


def read_process(pid: int) -> Process:
    """Return what ``stat`` says of a process. Raises `Unreadable`."""
    at = _stat(f"/proc/{pid}")
    counts = {
        "user_ms": (at[USER] + at[ENDED_USER]) * TICK_NS,
        "system_ms": (at[SYSTEM] + at[ENDED_SYSTEM]) * TICK_NS,
        "minor_faults": at[MINOR] + at[ENDED_MINOR],
        "major_faults": at[MAJOR] + at[ENDED_MAJOR],
    }
    return Process(at[PARENT], at[START], counts)


def _stat(folder: str) -> dict[int, int]:
    """Return the numbers behind the state, by their position. Raises `Unreadable`."""
    text = content(f"{folder}/stat")
    with of_the_kernel(f"{folder}/stat"):
        fields = [int(field) for field in text[text.rindex(b")") + 4 :].split()]
        if len(fields) < START:
            raise ValueError("too few fields")
    return dict(enumerate(fields, start=1))


def is_ending(pid: int) -> bool:
    """Whether each thread of a process is at its end, or past it like those of a zombie.

    Such a process has no memory any more, and some kernels then refuse what they showed before,
    to its own user too. A process whose first thread alone has ended is not ending.
    """
    try:
        return all(
            _stat(f"/proc/{pid}/task/{thread}")[FLAGS] & PF_EXITING for thread in threads_of(pid)
        )
    except Unreadable as error:
        return error.is_gone


def read_io(pid: int) -> Counts:
    """Return what a process has read and written. Raises `Unreadable`.

    The kernel shows it to those only who may trace the process (do_io_accounting() in
    fs/proc/base.c).
    """
    return named(f"/proc/{pid}/io", OF_IO)


def owner_of(pid: int) -> int | None:
    """Return the effective uid of a process; None if it is not known."""
    try:
        return uids_of(pid)[1]
    except (Unreadable, IndexError):
        return None


def uids_of(pid: int) -> list[int]:
    """Return the real, effective, saved and file system uid of a process. Raises `Unreadable`."""
    path = f"/proc/{pid}/status"
    lines = (line.split() for line in lines_of(content(path)) if line.startswith(b"Uid:"))
    with of_the_kernel(path):
        return list(map(number, next(lines, [])[1:]))


def read_thread(folder: str, *, with_waits: bool) -> Counts:
    """Return what the scheduler counts of a thread. Raises `Unreadable`.

    ``folder``: its place in /proc; ``with_waits``: what `accounts_waits` says.
    """
    found = named(f"{folder}/status", SWITCHES)
    if with_waits:
        with of_the_kernel(f"{folder}/schedstat"):
            on_cpu, waited, *_ = map(number, content(f"{folder}/schedstat").split())
        found |= {"cpu_ms": on_cpu, "wait_ms": waited}
    return found


def threads_of(pid: int) -> list[int]:
    """Return the threads of a process. Raises `Unreadable`."""
    return [int(name) for name in listed(f"/proc/{pid}/task")]


def accounts_waits() -> bool:
    """Return whether this kernel accounts waits for a CPU.

    Without CONFIG_SCHED_INFO there is no such file, and where the accounting is off it shows zeros
    (proc_pid_schedstat() in fs/proc/base.c), though we ourselves have had a CPU.
    """
    try:
        return content("/proc/self/schedstat").split()[0] != b"0"
    except (Unreadable, IndexError):
        return False
