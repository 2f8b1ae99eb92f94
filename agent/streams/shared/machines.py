"""What depends on the machine's architecture. Standard library only, Python 3.9.

``tests/unit/test_machines.py`` holds the numbers against the tables of names, and against
libseccomp for ppc64le and s390x, of which there is no table here.
"""

import platform
from dataclasses import dataclass
from typing import Optional

from agent.streams.shared.syscall_tables import GENERIC, X86_64


@dataclass(frozen=True)
class Machine:
    """One architecture as the kernel defines it."""

    bpf: int
    """The number of the system call, as with the two below."""
    perf_event_open: int
    membarrier: int
    syscalls: str = ""
    """The table of names; empty where there is none, and syscalls then have numbers only."""
    strongly_ordered: bool = False
    """Whether an earlier load is ordered before later loads and stores without a fence."""


_GENERIC = Machine(bpf=280, perf_event_open=241, membarrier=283, syscalls=GENERIC)

MACHINES = {
    "x86_64": Machine(
        bpf=321, perf_event_open=298, membarrier=324, syscalls=X86_64, strongly_ordered=True
    ),
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
    "ppc64le": Machine(bpf=361, perf_event_open=319, membarrier=365),
    "s390x": Machine(bpf=351, perf_event_open=331, membarrier=356, strongly_ordered=True),
}
"""By what ``uname -m`` prints."""


def this_machine() -> Optional[Machine]:
    """The machine that this runs on; None where nothing is known of it."""
    return MACHINES.get(platform.machine())
