"""What the serving process may never call (`agent.call_filter`).

It has no privilege to lose by then. What the filter takes away is what somebody who has got hold of
this process would try next: run another program, trace the user's other processes, or reach for the
part of the kernel that the supervisor alone is to reach (bpf, perf_event_open).
"""

from agent import call_filter
from agent.call_filter import CALLS
from agent.streams.shared.machines import MACHINES, machine_name


def refused_numbers(machine: str) -> list[int]:
    """Return the numbers of the calls that are refused on a machine. Raises KeyError."""
    calls, others = CALLS[machine], MACHINES[machine]
    return [others.bpf, others.perf_event_open, calls.execve, calls.execveat, calls.ptrace]


def install() -> str | None:
    """Refuse the calls to all threads of this process, for good; return why not, or None.

    Needs ``no_new_privs``.
    """
    machine = machine_name()
    return call_filter.install(machine, refused_numbers(machine) if machine in CALLS else ())
