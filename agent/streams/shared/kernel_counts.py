"""The kernel's own counts of what we count, read at the edges of a run for comparison.

Standard library only: the supervisor reads those of the sections as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.sections.probes import probes_of

SectionCounts = Mapping[str, Mapping[str, int]]
"""By section, what its probe.py names the kernel's counts."""


@dataclass(frozen=True, slots=True)
class KernelCounts:
    """Totals since boot, from /proc/stat; what cannot be read counts as 0."""

    context_switches: int = 0
    forks: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a run: the kernel's counts and ours, taken together."""

    kernel: KernelCounts
    switches: int
    forks: int
    suspended_ns: int
    """CLOCK_BOOTTIME - CLOCK_MONOTONIC: grows while the machine is suspended."""
    online_cpus: str
    sections: SectionCounts = field(default_factory=dict)
    outer: SectionCounts = field(default_factory=dict)
    """The same beyond the edge: before attaching, after detaching. What happened between here and
    there may be among ours."""


def read_kernel_counts() -> KernelCounts:
    """Context switches and forks since boot."""
    stat = _fields(Path("/proc/stat"), ("ctxt", "processes"))
    return KernelCounts(stat.get("ctxt", 0), stat.get("processes", 0))


def read_section_counts(sections: Iterable[str]) -> dict[str, dict[str, int]]:
    """The kernel's counts for those of these sections that it keeps counts for."""
    counts = {probe.name: probe.kernel_counts() for probe in probes_of(sections)}
    return {section: found for section, found in counts.items() if found}


def growth(edges: tuple[Edge, Edge], section: str, *, outer: bool = False) -> dict[str, int]:
    """By how much the kernel's counts of a section grew; without those that were not there twice.

    ``outer``: as counted around the edges.
    """
    before, after = ((e.outer if outer else e.sections).get(section, {}) for e in edges)
    return {name: count - before[name] for name, count in after.items() if name in before}


def online_cpus() -> str:
    """The CPUs that are online, as a list of ranges."""
    try:
        return Path("/sys/devices/system/cpu/online").read_text().strip()
    except OSError:
        return ""


def _fields(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    rows = (line.split() for line in _lines(path))
    return {row[0]: int(row[1]) for row in rows if row and row[0] in names}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
