"""The kernel's own counts of what we count, read at both edges of a run for comparison.

Standard library only: the supervisor also reads the counts of the sections.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent import small_files
from agent.nouns import counted
from agent.sections.probes import probes_of
from agent.streams.shared import kernel_files
from agent.streams.shared.foreign_names import lines_of
from agent.streams.shared.namespaces import proc_is_ours

STEAL = 7
"""Position of the stolen time in the line ``cpu`` (proc_stat(5)); absent before Linux 2.6.11."""
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")

NUMBER = re.compile(r"\d{1,20}", re.ASCII)

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO (include/linux/proc_ns.h)."""
TURNS = re.compile(rb"\d+ \d+ (\d{1,20})\n")
"""A thread's schedstat, which ends with how often it was given a CPU (sched-stats.rst)."""
SWITCHED_OUT = re.compile(rb"voluntary_ctxt_switches:\s*(\d{1,20})\b")
"""Two lines of a thread's status: the name of the other ends in this one (``nonvoluntary_…``)."""

SectionCounts = Mapping[str, Mapping[str, int]]
"""The kernel's counts by section, then by the name that the section's ``probe.py`` gives them."""


@dataclass(frozen=True, slots=True)
class KernelCounts:
    """Totals since boot from /proc/stat."""

    context_switches: int = 0
    forks: int = 0
    stolen_ticks: int = 0
    """Time that a hypervisor ran something else instead of a CPU of ours, summed over CPUs."""
    is_known: bool = True
    """Whether the file could be read; if not, the numbers mean nothing."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a run: the kernel's counts and ours, read together."""

    kernel: KernelCounts
    switches: int
    forks: int
    suspended_ns: int
    """CLOCK_BOOTTIME - CLOCK_MONOTONIC: grows while the machine is suspended."""
    online_cpus: str
    sections: SectionCounts = field(default_factory=dict)
    outer: SectionCounts = field(default_factory=dict)
    """The same, read outside the edge: before a section counts, or after it has ceased to. Our
    counts may include what happened between the two readings."""
    later: KernelCounts | None = None
    """``kernel``, read once more after ours."""
    process_1_switches: int | None = None
    """How often process 1 has run so far; None if that is not known."""

    def with_outer(self, outer: SectionCounts, differing: SectionCounts | None = None) -> Edge:
        """Return the edge with the supervisor's readings.

        ``differing``: what `differences` says of a reading just inside the edge, which takes the
        place of ours for the sections that it has.
        """
        inside = {
            section: {**outer.get(section, {}), **found}
            for section, found in (differing or {}).items()
        }
        return replace(self, sections={**self.sections, **inside}, outer=outer)

    @property
    def switches_meanwhile(self) -> int:
        """Return the switches that ours may include or not: those between the kernel's counts."""
        return self.later.context_switches - self.kernel.context_switches if self.later else 0

    @property
    def forks_meanwhile(self) -> int:
        return self.later.forks - self.kernel.forks if self.later else 0


def read_kernel_counts() -> KernelCounts:
    """Return the context switches, forks and stolen time since boot."""
    stat = _fields("/proc/stat", ("ctxt", "processes", "cpu"))
    switches = _number(stat.get("ctxt", ()), 0)
    forks = _number(stat.get("processes", ()), 0)
    stolen = _number(stat.get("cpu", ()), STEAL)
    if switches is None or forks is None or stolen is None:
        return KernelCounts(is_known=False)
    return KernelCounts(switches, forks, stolen)


def are_known(edges: tuple[Edge, Edge]) -> bool:
    """Whether the kernel's counts could be read at both edges."""
    counts = (c for edge in edges for c in (edge.kernel, edge.later) if c is not None)
    return all(count.is_known for count in counts)


def process_1_switches() -> int | None:
    """Return how often process 1 of the machine has run, summed over its threads.

    None in a pid namespace, where that number is another process's, and if a file of it cannot be
    read. A thread that ends takes its count along, so this may be too few, or fall: then it is not
    said that process 1 ran, which changes no verdict.
    """
    try:
        # not what the link leads to: the kernel makes and frees an inode for that, which begins an
        # RCU grace period, and a stop would wait for that and for another one
        namespace = os.readlink("/proc/self/ns/pid")
        if namespace != f"pid:[{INITIAL_PID_NAMESPACE}]" or not proc_is_ours():
            return None
        threads = os.listdir("/proc/1/task")
        return sum(_switches(f"/proc/1/task/{thread}") for thread in threads)
    except OSError:
        return None


def switched_out_of_process_1(edges: tuple[Edge, Edge]) -> int:
    """Return how often process 1 ran between the edges; 0 if that is not known."""
    before, after = (edge.process_1_switches for edge in edges)
    return max(after - before, 0) if before is not None and after is not None else 0


def words_on_process_1(edges: tuple[Edge, Edge]) -> str:
    """Return the sentence on what may be unseen because process 1 ran between the edges."""
    ran = counted(switched_out_of_process_1(edges), "time")
    return f"Process 1 ran {ran}, during which some kernels run no BPF program"


def stolen_ns(edges: tuple[Edge, Edge]) -> int:
    """Return at most how long a hypervisor took CPUs away between the edges; 0 if never.

    The kernel reports it in ticks, so up to one more may have been stolen.
    """
    before, after = edges
    ticks = after.kernel.stolen_ticks - before.kernel.stolen_ticks
    return (ticks + 1) * TICK_NS if ticks > 0 else 0


def read_section_counts(
    sections: Iterable[str], at_once: bool | None = None
) -> dict[str, dict[str, int]]:
    """Return the kernel's counts for each of these sections that has any.

    ``at_once``: of those sections only that count at the supervisor's word, or that do not.
    """
    counts = {
        probe.name: probe.kernel_counts()
        for probe in probes_of(sections)
        if at_once in (None, probe.counts_at_once)
    }
    return {section: found for section, found in counts.items() if found}


def differences(counts: SectionCounts, others: SectionCounts) -> dict[str, dict[str, int]]:
    """Return the counts in ``others`` that differ; 0 for those that only ``counts`` has."""
    return {
        section: {
            name: others.get(section, {}).get(name, 0)
            for name in {**found, **others.get(section, {})}
            if others.get(section, {}).get(name, 0) != found.get(name, 0)
        }
        for section, found in counts.items()
    }


def growth(edges: tuple[Edge, Edge], section: str, *, outer: bool = False) -> dict[str, int]:
    """Return how much the kernel's counts of a section grew, for counts present at both edges.

    ``outer``: use the readings from outside the edges.
    """
    before, after = ((e.outer if outer else e.sections).get(section, {}) for e in edges)
    return {name: count - before[name] for name, count in after.items() if name in before}


def online_ranges() -> str:
    """Return the online CPUs as a list of ranges; empty if that cannot be read."""
    try:
        return small_files.read(str(kernel_files.ONLINE_CPUS)).decode(errors="replace").strip()
    except OSError:
        return ""


def _switches(thread: str) -> int:
    """Return how often a thread was given a CPU, or gave it up; 0 if it is gone.

    Its status has sixty lines and takes the kernel four times as long, and process 1 may have many
    threads: it is read where there is no schedstat (CONFIG_SCHED_INFO), or one of zeros (before
    5.14 without delay accounting). Raises OSError if a file is there and cannot be read.
    """
    turns = TURNS.fullmatch(_content(f"{thread}/schedstat"))
    if turns and (count := int(turns[1])):
        return count
    return sum(map(int, SWITCHED_OUT.findall(_content(f"{thread}/status"))))


def _content(path: str) -> bytes:
    """Return what a thread's file holds; nothing if the thread is gone. Raises OSError."""
    try:
        return small_files.read(path)
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _fields(path: str, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return what follows these names at the beginning of a line."""
    rows = (line.split() for line in _lines(path) if line.startswith(names))
    return {row[0]: row[1:] for row in rows if row[0] in names}


def _number(fields: Sequence[str], position: int) -> int | None:
    """Return the number at a position, or None if there is none."""
    text = fields[position] if position < len(fields) else ""
    return int(text) if NUMBER.fullmatch(text) else None


def _lines(path: str) -> list[str]:
    try:
        content = small_files.read(path)
    except OSError:
        return []
    return [line.decode(errors="replace") for line in lines_of(content)]
