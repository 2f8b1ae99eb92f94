"""Names of syscalls by number, from the machine's own table. Standard library only."""

from agent.sections.syscall_counts.layout import SYSCALL_COMPAT
from agent.streams.shared.machines import MACHINES, machine_name


def syscall_names(machine: str | None = None) -> dict[int, str]:
    """Return names by number for a machine (default: this one); empty if its table is not known."""
    known = MACHINES.get(machine or machine_name())
    names: dict[int, str] = {}
    number = 0
    for word in known.syscalls.split() if known else ():
        if word.startswith("@"):
            number = int(word[1:])
        else:
            names[number] = word
            number += 1
    return names


_NAMES = syscall_names()


def syscall_number(name: str) -> int | None:
    """Return this machine's number of a syscall; None if its table is not known or lacks it."""
    return next((number for number, known in _NAMES.items() if known == name), None)


def syscall_name(number: int) -> str:
    """Return the name for a number that syscalls are counted under (``compat``: 32-bit table)."""
    if number == SYSCALL_COMPAT:
        return "compat"
    return _NAMES.get(number, f"syscall_{number}")
