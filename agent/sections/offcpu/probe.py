"""Off-CPU time: blocked intervals, summed in the kernel by state and reason."""

from agent.sections import scheduler, syscalls
from agent.sections.offcpu.layout import CONSTANTS, WAITS_SIZE
from agent.sections.spec import Detail, Probe, Table

WAIT_FUNCTIONS = Detail(
    "wait_functions",
    "WITH_WAIT_FUNCTIONS",
    tables=(
        Table("waits", lambda sizes: sizes.cpus * WAITS_SIZE),
        Table("wait_sites", lambda sizes: sizes.slots * 4),
    ),
    scoped_only=True,
)
"""The kernel functions in which tasks wait, sampled."""

PROBE = Probe(
    name="offcpu",
    switch="WITH_OFFCPU",
    programs=scheduler.PROGRAMS,
    fields=(*scheduler.FIELDS, *syscalls.REGISTERS),
    bits=scheduler.BITS,
    arguments=scheduler.ARGUMENTS,
    constants=CONSTANTS,
    details=(WAIT_FUNCTIONS,),
)
