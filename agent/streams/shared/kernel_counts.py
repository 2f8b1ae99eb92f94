"""The kernel's own counts of what we count, read at the edges of a run for comparison."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MINOR_BITS = 20


@dataclass(frozen=True, slots=True)
class KernelCounts:
    """Totals since boot: from /proc/stat and /proc/diskstats."""

    context_switches: int = 0
    forks: int = 0
    disks: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Completed requests by operation, by device number (major << 20 | minor)."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a run: the kernel's counts and ours, taken together."""

    kernel: KernelCounts
    switches: int
    forks: int
    suspended_ns: int
    """CLOCK_BOOTTIME - CLOCK_MONOTONIC: grows while the machine is suspended."""
    online_cpus: str
    outer_disks: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """The kernel's counts beyond the edge: before attaching, after detaching. Requests that were
    completed between here and there are among ours, which come from the events."""


def read_kernel_counts() -> KernelCounts:
    """Reads a few files of /proc; what cannot be read counts as 0."""
    stat = _fields(Path("/proc/stat"), ("ctxt", "processes"))
    return KernelCounts(stat.get("ctxt", 0), stat.get("processes", 0), read_disks())


def online_cpus() -> str:
    """The CPUs that are online, as a list of ranges."""
    try:
        return Path("/sys/devices/system/cpu/online").read_text().strip()
    except OSError:
        return ""


def _fields(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    rows = (line.split() for line in _lines(path))
    return {row[0]: int(row[1]) for row in rows if row and row[0] in names}


def read_disks() -> dict[int, dict[str, int]]:
    """Completed requests by device number and operation.

    Columns of Documentation/admin-guide/iostats.rst: discards since 4.18, flushes since 5.5.
    """
    disks = {}
    for line in _lines(Path("/proc/diskstats")):
        row = line.split()
        if len(row) < 20:
            continue
        number = int(row[0]) << MINOR_BITS | int(row[1])
        disks[number] = {
            "read": int(row[3]),
            "write": int(row[7]),
            "discard": int(row[14]),
            "flush": int(row[18]),
        }
    return disks


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
