"""What a result depends on besides the code: the machine, and the software measured with it."""

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
"""The words of the kernel's command line that change what a context switch costs."""

SYSCTLS = ("net/core/bpf_jit_enable", "kernel/bpf_stats_enabled", "kernel/sched_schedstats")
"""Settings that change what a BPF program or a switch costs."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Read once per session. A field that this machine does not tell is an empty string."""

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
        """What differs, as "field: this / that; ..."; empty for the same machine and software."""
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
    """This machine; ``versions`` of further tools are added to the agent's and Python's."""
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
    """Of the last minute."""
    return os.getloadavg()[0]


def boot_flags(command_line: str) -> tuple[str, ...]:
    """The `BOOT_FLAGS` among the words of the kernel's command line."""
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
