"""The environment of a result: the machine, and the versions of the software involved."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from agent import __version__

SYS = Path("/sys")
PROC = Path("/proc")

BOOT_FLAGS = (
    "mitigations", "nosmt", "isolcpus", "nohz_full", "rcu_nocbs", "preempt", "idle",
    "cpuidle_haltpoll.force", "intel_pstate", "amd_pstate", "clocksource", "tsc", "nospectre_v2",
    "spectre_v2", "retbleed", "pti", "nopti", "psi", "transparent_hugepage", "threadirqs",
)  # fmt: skip
"""Kernel command-line parameters that affect the cost of a context switch."""

SYSCTLS = ("net/core/bpf_jit_enable", "kernel/bpf_stats_enabled", "kernel/sched_schedstats")
"""Sysctls that affect the cost of a BPF program or a context switch."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, read once per session. An unknown field is an empty string."""

    host: str
    kernel: str
    architecture: str
    cpu_model: str
    cpus: int
    memory_mb: int
    governor: str
    clocksource: str
    boot_flags: tuple[str, ...]
    settings: Mapping[str, str]
    mitigations: Mapping[str, str]
    versions: Mapping[str, str]

    def differences(self, other: "Machine") -> str:
        """Return the differences as "field: this / that; ...", empty if there are none."""
        mine, theirs = asdict(self), asdict(other)
        return "; ".join(
            f"{field}: {mine[field]} / {theirs[field]}"
            for field in mine
            if mine[field] != theirs[field]
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "boot_flags": tuple(data["boot_flags"])})


def read_machine(versions: Mapping[str, str] | None = None) -> Machine:
    """Describe this machine. ``versions`` of more tools are added to the agent's and Python's."""
    cpu = SYS / "devices/system/cpu"
    return Machine(
        host=platform.node(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_cpu_model(),
        cpus=os.cpu_count() or 0,
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        governor=_read(cpu / "cpu0/cpufreq/scaling_governor"),
        clocksource=_read(SYS / "devices/system/clocksource/clocksource0/current_clocksource"),
        boot_flags=boot_flags(_read(PROC / "cmdline")),
        settings={name: _read(PROC / "sys" / name) for name in SYSCTLS},
        mitigations={
            path.name: _read(path) for path in sorted((cpu / "vulnerabilities").glob("*"))
        },
        versions={"agent": __version__, "python": platform.python_version(), **(versions or {})},
    )


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def boot_flags(command_line: str) -> tuple[str, ...]:
    """Return the words of the kernel's command line that set one of `BOOT_FLAGS`."""
    return tuple(word for word in command_line.split() if word.partition("=")[0] in BOOT_FLAGS)


def _cpu_model() -> str:
    for line in _read(PROC / "cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
