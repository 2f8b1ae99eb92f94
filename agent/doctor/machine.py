"""What spoils benchmarks on this machine: what makes runs of the same program differ."""

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Finding, ok, unknown, warning
from agent.doctor.visible import OF_THE_KERNEL, why_not_limits, why_not_proc, why_not_sys
from agent.streams.shared.control_groups import COUNT, groups
from agent.words import in_words

SYSTEM = Path("/sys/devices/system")
POWER = Path("/sys/class/power_supply")
PROC = Path("/proc")

QUOTA = re.compile(r"(max|-?\d{1,20})( \d{1,20})?", re.ASCII)
"""``cpu.max``, whose second number is the period, or ``cpu.cfs_quota_us`` of version 1."""

SLOW_CLOCK_NS = 500
"""Reading it from Python takes 53 ns on a virtual machine whose clock source is tsc. Where the vDSO
cannot read the clock source, each reading is a system call, and of a device's counter a bus access
as well."""
SLOW_SOURCES = ("hpet", "acpi_pm", "refined-jiffies", "jiffies")
"""Clock sources that are no cure: counters of devices, and what only counts ticks."""
READINGS = 1000
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronized."""
TIMEX_BYTES = 512
"""More than struct timex has; its first field, 0, says that nothing is to be set."""
BUSY = 0.2
"""Tasks per CPU that ran or waited for one in the last minute."""
PRESSED = 1.0
"""Percent of the last minute in which some task waited for memory or I/O."""


def machine() -> Iterator[Finding]:
    """Look for what makes times on this machine vary."""
    yield _clock()
    yield _synchronized()
    virtual = _is_virtual()
    yield _frequency(virtual)
    yield _turbo(virtual)
    yield _threads_of_cores()
    yield _host(virtual)
    yield _load()
    yield _pressure()
    yield _quota()
    yield from _what_rarely_matters()


def _clock() -> Finding:
    """Take the time of reading the clock: probes and programs read it all the time."""
    source = _text(SYSTEM / "clocksource/clocksource0/current_clocksource") or "not known"
    took = min(_reading_ns() for _ in range(10))
    said = f"clock source {source}, {took} ns to read it from Python"
    if took > SLOW_CLOCK_NS:
        names = _text(SYSTEM / "clocksource/clocksource0/available_clocksource").split()
        others = [name for name in names if name != source and name not in SLOW_SOURCES]
        options = " or ".join(f"clocksource={name}" for name in others)
        cure = f"boot with {options}" if options else "this kernel has no faster one here"
        return warning("clock", f"{said}: slow; {cure}")
    return ok("clock", said)


def _reading_ns() -> int:
    began = time.perf_counter_ns()
    for _ in range(READINGS):
        time.monotonic_ns()
    return (time.perf_counter_ns() - began) // READINGS


def _synchronized() -> Finding:
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    if state == TIME_ERROR:
        return warning(
            "clock_synchronized",
            "nothing synchronizes the wall clock, so times of runs on different machines do not"
            " compare: install chrony or systemd-timesyncd. Durations are not affected",
        )
    if state < 0:
        return unknown("clock_synchronized", "adjtimex(2) is refused")
    return ok("clock_synchronized", "the wall clock is synchronized")


def _frequency(virtual: bool | None) -> Finding:
    found = {_text(path) for path in SYSTEM.glob("cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    if not found and (why := why_not_sys()):
        return unknown("frequency_governor", why)
    if not found:
        where = "its host decides" if virtual else "no driver scales frequencies"
        return ok("frequency_governor", f"not visible on this machine: {where}")
    if found == {"performance"}:
        return ok("frequency_governor", "performance")
    return warning(
        "frequency_governor",
        f"{', '.join(sorted(found))}: clock rates follow the load. Set another for benchmarks:"
        " cpupower frequency-set -g performance",
    )


def _turbo(virtual: bool | None) -> Finding:
    cures = {
        SYSTEM / "cpu/intel_pstate/no_turbo": ("0", "1"),
        SYSTEM / "cpu/cpufreq/boost": ("1", "0"),
    }
    for path, (on, off) in cures.items():
        value = _text(path)
        if value == on:
            cure = f"echo {off} > {path}"
            return warning("turbo", f"on: clock rates depend on heat and neighbours. {cure}")
        if value:
            return ok("turbo", "off")
    if why := why_not_sys():
        return unknown("turbo", why)
    where = "its host decides" if virtual else "no driver has a switch for it"
    return ok("turbo", f"not visible on this machine: {where}")


def _threads_of_cores() -> Finding:
    if _text(SYSTEM / "cpu/smt/active") == "1":
        return warning(
            "smt",
            "on: two hardware threads share a core, and slow each other down. Leave one of them"
            f" idle, or echo off > {SYSTEM / 'cpu/smt/control'}",
        )
    if why := why_not_sys():
        return unknown("smt", why)
    return ok("smt", "no hardware threads share a core, as far as the kernel knows")


def _is_virtual() -> bool | None:
    """Whether there is a hypervisor; None if neither /proc nor /sys can tell.

    x86 has a flag for it, others a node of the device tree, which is in /sys.
    """
    lines = _text(PROC / "cpuinfo").splitlines()
    flags = [line for line in lines if line.startswith("flags")]
    nodes = Path("/sys/hypervisor/type"), PROC / "device-tree/hypervisor"
    if any(" hypervisor " in f"{line} " for line in flags) or any(n.exists() for n in nodes):
        return True
    if flags or (lines and not why_not_sys(OF_THE_KERNEL)):
        return False
    return None


def _host(virtual: bool | None) -> Finding:
    if virtual is None:
        why = why_not_proc() or why_not_sys(OF_THE_KERNEL) or f"{PROC / 'cpuinfo'} cannot be read"
        return unknown("virtual_machine", why)
    if not virtual:
        return ok("virtual_machine", "no hypervisor is visible")
    stolen = _stolen_share()
    known = "" if stolen is None else f": {stolen:.2%} of CPU time since it booted"
    return warning(
        "virtual_machine",
        f"this is one, and its host may take CPUs away{known}. Evidence has stolen_ms; prefer real"
        " hardware, or compare by interleaved pairs (run --baseline --optimized)",
    )


def _stolen_share() -> float | None:
    """Return the share of all CPU time that a hypervisor took (proc_stat(5)); None if unknown."""
    fields = _text(PROC / "stat").partition("\n")[0].split()[1:9]
    with contextlib.suppress(ValueError, ZeroDivisionError):
        ticks = [int(field) for field in fields]
        if len(ticks) == 8:
            return ticks[7] / sum(ticks)
    return None


def _load() -> Finding:
    try:
        load = os.getloadavg()[0]
    except OSError as error:
        return unknown("load", in_words(error))
    cpus = os.cpu_count() or 1
    said = f"{load:.2f} tasks ran or waited for a CPU in the last minute, on {cpus} CPUs"
    if load > BUSY * cpus:
        return warning("load", f"{said}: others compete with what is measured. `top` shows them")
    return ok("load", said)


def _pressure() -> Finding:
    found = {name: _some(_text(PROC / f"pressure/{name}")) for name in ("memory", "io")}
    known = {name: share for name, share in found.items() if share is not None}
    if not known:
        why = why_not_proc() or f"this kernel has no {PROC / 'pressure'} (psi=1 at boot may do)"
        return unknown("pressure", why)
    said = ", ".join(f"{name} {share:g} %" for name, share in known.items())
    if max(known.values()) >= PRESSED:
        return warning("pressure", f"tasks waited in the last minute for {said}: find out for whom")
    return ok("pressure", f"tasks waited in the last minute for {said}")


def _some(text: str) -> float | None:
    """Return avg60 of the line ``some`` (Documentation/accounting/psi.rst), in percent."""
    for line in text.splitlines():
        if line.startswith("some "):
            with contextlib.suppress(KeyError, ValueError):
                return float(dict(part.split("=") for part in line.split()[1:])["avg60"])
    return None


def _quota() -> Finding:
    for group in groups("cpu").directories:
        limit = _text(group / "cpu.max") or _text(group / "cpu.cfs_quota_us")
        if limit and not QUOTA.fullmatch(limit):
            why = f"{group} has a quota that is not the kernel's: something else may be mounted"
            return unknown("cpu_quota", f"{why} over it")
        if limit and limit.split()[0] not in ("max", "-1"):
            of_each = " of each ".join(limit.split())  # cpu.max has the period too
            return warning(
                "cpu_quota",
                f"{group} has one ({of_each} µs): what is started from here is throttled. Measure"
                " outside of it, or lift it: CPUQuota= (systemd), --cpus (containers)",
            )
    if why := why_not_limits("cpu"):
        return unknown("cpu_quota", why)
    return ok("cpu_quota", "none is visible from here")


def _what_rarely_matters() -> Iterator[Finding]:
    """Findings only where there is something: most machines have none of it."""
    nodes = len(list(SYSTEM.glob("node/node[0-9]*")))
    if nodes > 1 and _text(PROC / "sys/kernel/numa_balancing") not in ("", "0"):
        yield warning(
            "numa_balancing",
            f"on, with {nodes} nodes: memory moves during a run. sysctl kernel.numa_balancing=0",
        )
    counters = SYSTEM.glob("cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [text for path in counters if (text := _text(path))]
    if not all(map(COUNT.fullmatch, counts)):
        yield unknown("heat", "a CPU's core_throttle_count is no number")
    elif times := sum(map(int, counts)):
        said = f"CPUs were slowed down {times:,} times by heat since boot"
        yield warning("heat", f"{said}: look at fans and at what else computes")
    if [p for p in POWER.glob("*/online") if _is_mains(p.parent) and _text(p) == "0"]:
        yield warning("battery", "the machine runs on battery: plug it in")


def _is_mains(supply: Path) -> bool:
    return _text(supply / "type") == "Mains"


def _text(path: Path) -> str:
    """Return what a file says; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
