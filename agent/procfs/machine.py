"""What /proc counts of the whole machine. The kernel's own counters: nothing in them is missing."""

from agent.procfs.files import (
    Counts,
    Unreadable,
    content,
    named,
    needing,
    number,
    of_the_kernel,
    pressure,
)
from agent.procfs.readings import Reading, Source
from agent.streams.shared.kernel_counts import TICK_NS

CPU_TIMES = {
    "user_ms": (0, 1),
    "system_ms": (2,),
    "irq_ms": (5, 6),
    "idle_ms": (3,),
    "iowait_ms": (4,),
    "stolen_ms": (7,),
}
"""Fields of the line ``cpu`` of /proc/stat (proc_stat(5)): user and nice, system, irq and softirq,
idle, iowait, steal. The kernel counts them in ticks."""

TOTALS = {b"ctxt": "context_switches", b"processes": "forks"}

RUN_DELAY = 8
"""Field of a line ``cpuN`` of /proc/schedstat, the name being field 0: ns that tasks waited for
this CPU (Documentation/scheduler/sched-stats.rst). Each wait is added as it ends."""

VMSTAT = {b"pgfault": "page_faults", b"pgmajfault": "major_faults"}


def _stat() -> Counts:
    rows = (line.split(maxsplit=11) for line in content("/proc/stat").splitlines())
    lines = {row[0]: row[1:] for row in rows if row}
    cpu = lines.get(b"cpu", [])
    with of_the_kernel("/proc/stat"):
        found = {name: number(lines[word][0]) for word, name in TOTALS.items() if lines.get(word)}
        for name, positions in CPU_TIMES.items():
            if max(positions) < len(cpu):
                found[name] = sum(number(cpu[position]) for position in positions) * TICK_NS
    return found


def read_waits() -> Reading:
    """Return the time waited for CPUs, by CPU: one that goes offline takes its sum with it."""
    try:
        return Reading(_waits())
    except Unreadable as error:
        return Reading(missing={"wait_ms": str(error)})


def _waits() -> Counts:
    with needing("CONFIG_SCHEDSTATS"):
        rows = [line.split() for line in content("/proc/schedstat").splitlines()]
    cpus = [row for row in rows if row[:1] and row[0].startswith(b"cpu") and len(row) > RUN_DELAY]
    if not cpus:
        raise Unreadable("/proc/schedstat has no times of CPUs")
    with of_the_kernel("/proc/schedstat"):
        return {row[0].decode(): number(row[RUN_DELAY]) for row in cpus}


def _faults() -> Counts:
    return named("/proc/vmstat", VMSTAT)


def _cpu_pressure() -> Counts:
    # "full" is undefined for the CPUs of a machine, and reported as 0 (psi.rst)
    found = pressure("/proc/pressure/cpu", "pressure.cpu")
    return {name: ns for name, ns in found.items() if name.endswith("some_ms")}


def _io_pressure() -> Counts:
    return pressure("/proc/pressure/io", "pressure.io")


def _memory_pressure() -> Counts:
    return pressure("/proc/pressure/memory", "pressure.memory")


MACHINE = (
    Source((*TOTALS.values(), *CPU_TIMES), _stat),
    Source(tuple(VMSTAT.values()), _faults),
    Source(("pressure.cpu.some_ms",), _cpu_pressure),
    Source(("pressure.io.some_ms", "pressure.io.full_ms"), _io_pressure),
    Source(("pressure.memory.some_ms", "pressure.memory.full_ms"), _memory_pressure),
)
