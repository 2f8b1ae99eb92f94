"""The limits behind an errno, each by its name and value, and what to set. Standard library only.

Python 3.9. All processes of the agent have the same limits, since they inherit them. A limit is
named after it was reached; what it takes depends on the machine and is not known before.
"""

import errno
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

from agent.nouns import counted
from agent.streams.shared import control_groups
from agent.streams.shared.causes import CannotCollect, cannot

FILES_OF_A_SMALL_MACHINE = 1024
FILES_PER_CPU = 8
"""Each of two perf buffers takes one in the supervisor and one in the agent, twice while they are
replaced."""
MEMORY_MIB = 256
"""Twice what it took on two CPUs, while compiling (docs/explanation/scaling.md). Maps and buffers
grow with the CPUs, label sets and evidence with use."""

MEMORY_INFO = Path("/proc/meminfo")
AVAILABLE = re.compile(rb"^MemAvailable: +(\d{1,20}) kB$", re.MULTILINE)
MEMORY_OF_PROCESS = Path("/proc/self/statm")
PERF_MLOCK = Path("/proc/sys/kernel/perf_event_mlock_kb")
MIB = 1 << 20


def reached(what: str, number: Optional[int]) -> Optional[CannotCollect]:
    """Return the cause if this errno means a limit, else None. ``what``: what was refused."""
    if number is None or number not in _BY_ERRNO:
        return None
    code, explain = _BY_ERRNO[number]
    return cannot(code, f"{what}: {os.strerror(number)}. {explain()}")


def explained(number: Optional[int]) -> str:
    """Return the limit that an errno means, and what to set; empty if it means none."""
    if number is None or number not in _BY_ERRNO:
        return ""
    return _BY_ERRNO[number][1]()


def no_process(what: str, number: Optional[int]) -> Optional[CannotCollect]:
    """Return the cause if this errno of fork(2) means a limit, else None.

    Of fork alone EAGAIN means a limit: of bpf(2), for instance, that a signal came.
    """
    if number == errno.EAGAIN:
        return cannot("too_many_processes", f"{what}: {os.strerror(number)}. {_processes()}")
    return reached(what, number)


def reached_in(text: str) -> Optional[int]:
    """Return the errno of a limit whose message another program has printed; None if none is.

    Other programs report what the kernel refused in their own words, and with strerror(3).
    """
    return next(
        (number for number, words in _IN_WORDS.items() if any(word in text for word in words)), None
    )


def files_allowed() -> int:
    """Return how many files a process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def files_enough() -> int:
    """Return how many are enough on this machine."""
    enough = FILES_OF_A_SMALL_MACHINE
    while enough < FILES_PER_CPU * (os.cpu_count() or 1):
        enough *= 2
    return enough


def files() -> str:
    """Return how many files a process may open, and how to have it open enough."""
    allowed, enough = files_allowed(), files_enough()
    return (
        f"A process may open {allowed} (RLIMIT_NOFILE). Allow {enough}: ulimit -n {enough}, "
        f"LimitNOFILE={enough} (systemd), --ulimit nofile={enough} (containers)."
    )


def _files_of_the_machine() -> str:
    return "The whole machine has as many open as it allows. Raise it: sysctl fs.file-max."


def _processes() -> str:
    groups = control_groups.limits("pids")
    full = next((limit for limit in groups if not limit.left), None)
    if full is not None:
        tasks = counted(full.allowed, "task")
        return (
            f"The cgroup {full.file.parent} allows {tasks} ({full.file.name}). "
            "Raise it: TasksMax= (systemd), --pids-limit (containers)."
        )
    allowed, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if allowed != resource.RLIM_INFINITY:
        return (
            f"A user may have {allowed} (RLIMIT_NPROC). Raise it: ulimit -u, "
            "LimitNPROC= (systemd), --ulimit nproc= (containers)."
        )
    return "The machine has as many as it allows: sysctl kernel.threads-max, kernel.pid_max."


class Memory(NamedTuple):
    """One limit to memory: the bytes left of it, and the sentence that names it."""

    left: int
    sentence: str


def memory() -> str:
    """Return which limit to memory has the least left, and how to raise it."""
    least = least_memory()
    return f"The agent needs {MEMORY_MIB} MiB." if least is None else least.sentence


def least_memory() -> Optional[Memory]:
    """Return the limit to memory that has the least left; None if none is known."""
    found = [*_memory_of_groups(), *_memory_of_process(), *_memory_of_machine()]
    return min(found, default=None)


def _memory_of_groups() -> list[Memory]:
    return [
        Memory(
            limit.left,
            f"The cgroup {limit.file.parent} allows {limit.allowed // MIB} MiB "
            f"({limit.file.name}) and has {limit.left // MIB} MiB left. Allow {MEMORY_MIB} MiB "
            f"for the agent: MemoryMax={MEMORY_MIB}M (systemd), --memory {MEMORY_MIB}m "
            "(containers).",
        )
        for limit in control_groups.limits("memory")
    ]


def _memory_of_process() -> list[Memory]:
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed == resource.RLIM_INFINITY:
        return []
    try:
        used = int(MEMORY_OF_PROCESS.read_bytes().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        used = 0
    return [
        Memory(
            max(0, allowed - used),
            f"A process may map {allowed // MIB} MiB (RLIMIT_AS). Lift it: ulimit -v unlimited, "
            "LimitAS=infinity (systemd).",
        )
    ]


def _memory_of_machine() -> list[Memory]:
    try:
        available = AVAILABLE.findall(MEMORY_INFO.read_bytes())
    except OSError:
        return []
    return [
        Memory(
            kib * 1024,
            f"The machine has {kib // 1024} MiB available (MemAvailable). "
            f"The agent needs {MEMORY_MIB} MiB.",
        )
        for kib in map(int, available)
    ]


def memlock() -> str:
    """Return RLIMIT_MEMLOCK in words."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return "unlimited" if allowed == resource.RLIM_INFINITY else f"{allowed // 1024} KiB"


def memory_of_perf_buffers() -> str:
    """Return the two limits to what an unprivileged process may map of them (perf_mmap())."""
    try:
        for_each_cpu = f"{int(PERF_MLOCK.read_text())} KiB"
    except (OSError, ValueError):
        for_each_cpu = "unknown"
    return (
        f"RLIMIT_MEMLOCK is {memlock()} (ulimit -l, LimitMEMLOCK= of a service), and "
        f"kernel.perf_event_mlock_kb is {for_each_cpu} for each CPU"
    )


_BY_ERRNO: dict[int, tuple[str, Callable[[], str]]] = {
    errno.EMFILE: ("too_many_files", files),
    errno.ENFILE: ("too_many_files", _files_of_the_machine),
    errno.ENOMEM: ("out_of_memory", memory),
}
_IN_WORDS = {
    errno.EMFILE: (os.strerror(errno.EMFILE),),
    errno.ENFILE: (os.strerror(errno.ENFILE),),
    errno.ENOMEM: (
        *(os.strerror(errno.ENOMEM), "MemoryError", "std::bad_alloc"),
        "failed to map segment",  # the dynamic loader's
    ),
}
