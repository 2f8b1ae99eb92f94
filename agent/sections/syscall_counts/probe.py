"""Syscalls: counted by number in the kernel; times and errors on request."""

from agent.sections import syscalls
from agent.sections.spec import Detail, Probe, Table
from agent.sections.syscall_counts.layout import CONSTANTS, ENTRY_SIZE, TIMES_SIZE

TIMES = Detail(
    "syscalls",
    "WITH_SYSCALL_TIMES",
    programs=(syscalls.ON_SYS_EXIT,),
    arguments=syscalls.EXIT_ARGUMENTS,
    tables=(
        Table("entries", lambda sizes: sizes.slots * ENTRY_SIZE),
        Table("syscall_times", lambda sizes: sizes.cpus * TIMES_SIZE),
    ),
)
"""Times and errors of each syscall."""

PROBE = Probe(
    name="syscall_counts",
    switch="WITH_SYSCALLS",
    programs=(syscalls.ON_SYS_ENTER,),
    sources=("syscall_counts/syscalls.c",),
    fields=syscalls.REGISTERS,
    arguments=syscalls.ENTER_ARGUMENTS,
    constants=CONSTANTS,
    details=(TIMES,),
)
