"""Architecture-specific numbers and properties. Standard library only, Python 3.9.

``tests/unit/test_machines.py`` checks the numbers against the tables of names and against
libseccomp, the only source for ppc64le and s390x, which have no table here.
"""

import platform
from dataclasses import dataclass, replace
from typing import Optional

from agent.streams.shared.syscall_tables import GENERIC, X86_64


@dataclass(frozen=True)
class Machine:
    """One architecture, as the kernel defines it."""

    bpf: int
    """The system call's number, as for the two fields below."""
    perf_event_open: int
    membarrier: int
    syscalls: str = ""
    """The table of syscall names; if it is empty, syscalls only have numbers."""
    strongly_ordered: bool = False
    """Whether an earlier load is ordered before later loads and stores without a fence."""
    compat_mark: int = 0
    """The bit that marks a syscall of the 32-bit table, in ``thread_info.status`` where the kernel
    has that (TS_COMPAT), otherwise in ``thread_info.flags`` (TIF_32BIT); 0: none is known."""


_GENERIC = Machine(bpf=280, perf_event_open=241, membarrier=283, syscalls=GENERIC)

MACHINES = {
    "x86_64": Machine(
        bpf=321,
        perf_event_open=298,
        membarrier=324,
        syscalls=X86_64,
        strongly_ordered=True,
        compat_mark=1 << 1,
    ),
    "aarch64": replace(_GENERIC, compat_mark=1 << 22),
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
    "ppc64le": Machine(bpf=361, perf_event_open=319, membarrier=365),
    "s390x": Machine(bpf=351, perf_event_open=331, membarrier=356, strongly_ordered=True),
}
"""Keyed by the output of ``uname -m`` on Linux."""

ALIASES = {"arm64": "aarch64", "amd64": "x86_64", "AMD64": "x86_64"}
"""What ``uname -m`` says elsewhere (macOS, FreeBSD, Windows)."""


def machine_name() -> str:
    """Return the name of this machine's architecture, as Linux has it."""
    name = platform.machine()
    return ALIASES.get(name, name)


def this_machine() -> Optional[Machine]:
    """Return the machine that this runs on, or None if it is not a known one."""
    return MACHINES.get(machine_name())
