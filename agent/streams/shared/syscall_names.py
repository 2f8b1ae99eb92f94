"""Names of syscalls by number, by the machine's own table. Standard library only."""

import platform

from agent.streams.shared.machines import MACHINES


def syscall_names(machine: str | None = None) -> dict[int, str]:
    """Names by number for a machine, this one by default; empty where its table is not known."""
    known = MACHINES.get(machine or platform.machine())
    names: dict[int, str] = {}
    number = 0
    for word in known.syscalls.split() if known else ():
        if word.startswith("@"):
            number = int(word[1:])
        else:
            names[number] = word
            number += 1
    return names
