"""What /proc says of tasks, as tests compare it with evidence."""

from pathlib import Path

from fakes.processes import status_field


def switches(tid: int) -> int:
    """Times this thread left a CPU, of its own will or not (proc(5))."""
    lines = Path(f"/proc/{tid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def run_delay_us(tid: int) -> float:
    """What this thread has waited on run queues, by the scheduler's own account."""
    return int(Path(f"/proc/{tid}/schedstat").read_text().split()[1]) / 1e3


def arrivals(tid: int) -> int:
    """How often this thread has come to a CPU, by the scheduler's own account."""
    return int(Path(f"/proc/{tid}/schedstat").read_text().split()[2])


def state(tid: int) -> str:
    """One letter, such as R, S or T."""
    return _fields(tid)[0]


def tasks_of_session(session: int) -> list[int]:
    """Leaders of all processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(_fields(int(folder.name))[3]) == session:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _fields(pid: int) -> list[str]:
    """Of stat, what follows the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def resident_kib(pid: int) -> int:
    """Physical memory that a process has in use."""
    return int(status_field(pid, "VmRSS").split()[0])
