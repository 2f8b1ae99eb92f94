"""Off-CPU time: blocked intervals, summed in the kernel by state and reason."""

from agent.sections import scheduler, syscalls
from agent.sections.offcpu.layout import (
    CONSTANTS,
    WAITS_SIZE,
    WALL_CPUS_OF,
    WALL_END,
    WALL_ENDS,
    WALL_HEAD,
    WALL_REPORT_WORDS,
    WALL_ROW,
    WALL_THREAD_ROW,
    WALL_THREADS,
)
from agent.sections.spec import ITERATOR, Argument, Detail, Probe, Program, Stream, Table

WAIT_FUNCTIONS = Detail(
    "wait_functions",
    "WITH_WAIT_FUNCTIONS",
    tables=(
        Table("waits", lambda sizes: sizes.cpus * WAITS_SIZE),
        Table("wait_sites", lambda sizes: sizes.slots * 4),
    ),
    scoped_only=True,
    helpers=("get_stackid",),
)
"""The kernel functions in which tasks wait, sampled."""

WALL = Detail(
    "wall",
    "WITH_WALL",
    programs=(
        # timing by the clock attaches them anyway
        Program("on_sched_wakeup", "sched_wakeup", when=scheduler.BY_ACCOUNTING),
        Program("on_sched_wakeup", "sched_wakeup_new", when=scheduler.BY_ACCOUNTING),
        Program("on_iter_wall", f"{ITERATOR}/wall"),
        Program("on_iter_wall_units", f"{ITERATOR}/wall_units"),
    ),
    tables=(
        Table("wall", lambda sizes: WALL_HEAD + sizes.cpus * WALL_ROW),
        Table("wall_ends", lambda sizes: sizes.cpus * WALL_ENDS * WALL_END),
        Table("wall_cpus_of", lambda sizes: sizes.cpus * WALL_CPUS_OF * WALL_END),
        Table("wall_units", lambda sizes: sizes.slots * 8),
        # the last row has no owner
        Table("wall_threads", lambda _: (WALL_THREADS + 1) * WALL_THREAD_ROW),
    ),
    # one event for each thread that exits
    streams=(Stream("threads", WALL_REPORT_WORDS),),
    scoped_only=True,
    by_default=True,
)
"""Where the wall time went, by what the tasks in scope did together."""

WAKING = Detail(
    "waking",
    "WITH_WAKING",
    programs=(Program("on_sched_waking", "sched_waking"),),
    arguments=(Argument("WAKING_TASK", "sched_waking", "task_struct"),),
    scoped_only=True,
)
"""Wake-ups on their way to other CPUs: in the wall time, waits for those CPUs."""

PROBE = Probe(
    name="offcpu",
    switch="WITH_OFFCPU",
    programs=scheduler.PROGRAMS,
    sources=("offcpu/waking.c",),
    fields=(*scheduler.FIELDS, *syscalls.REGISTERS),
    bits=scheduler.BITS,
    arguments=scheduler.ARGUMENTS,
    constants=CONSTANTS,
    details=(WAIT_FUNCTIONS, WALL, WAKING),
)
