"""Syscalls as ``/metrics`` exports them."""

from agent.aggregate.families import Family
from agent.aggregate.totals import Counts, Total
from agent.sections.syscall_counts.evidence import SyscallCountsFold
from agent.sections.syscall_counts.layout import COUNTED
from agent.streams.collect.observed import Observed

CALLS = Family(
    "chainbench_syscall_count_total", "counter", "System calls by name.", label="syscall"
)
FAMILIES = (CALLS,)


def totals(fold: SyscallCountsFold, observed: Observed) -> dict[str, Total]:
    """Return the contract's five by name, and the rest as one."""
    named = {name: observed.syscalls.get(name, 0) for name in COUNTED}
    other = sum(observed.syscalls.values()) - sum(named.values())
    return {CALLS.name: Counts({**named, "other": other})}
