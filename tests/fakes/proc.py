"""Figures about tasks in /proc that tests compare with evidence."""

from pathlib import Path

from fakes.processes import status_field


def switches(tid: int) -> int:
    """Return a thread's voluntary and involuntary context switches (proc(5))."""
    lines = Path(f"/proc/{tid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def run_delay_us(tid: int) -> float:
    """Return a thread's total wait on run queues, by the scheduler's own accounting."""
    return int(Path(f"/proc/{tid}/schedstat").read_text().split()[1]) / 1e3


def arrivals(tid: int) -> int:
    """Return how often a thread was switched in, by the scheduler's own accounting."""
    return int(Path(f"/proc/{tid}/schedstat").read_text().split()[2])


def turns(tid: int) -> tuple[int, int]:
    """Return a thread's CPU time in ns and how often it was switched in, by the same accounting."""
    cpu_ns, _, count = map(int, Path(f"/proc/{tid}/schedstat").read_text().split())
    return cpu_ns, count


def state(tid: int) -> str:
    """Return a task's state: one letter, such as R, S or T."""
    return _fields(tid)[0]


def tasks_of_session(session: int) -> list[int]:
    """Return the thread group leaders of all processes in a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(_fields(int(folder.name))[3]) == session:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _fields(pid: int) -> list[str]:
    """Return the fields of ``stat`` after the name, which may contain any characters."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def resident_kib(pid: int) -> int:
    """Return the physical memory that a process uses."""
    return int(status_field(pid, "VmRSS").split()[0])
