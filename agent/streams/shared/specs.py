"""Which programs there are, what each section needs of them, and what they need of the kernel.

Adding a probe is one entry here and one function in ``probes/``. Standard library only.
"""

from dataclasses import dataclass

SOURCES = ("sched.c", "sched_accounting.c", "process.c", "syscalls.c", "block.c", "tasks.c")

SECTION_SWITCHES = {
    "runqlat": "WITH_RUNQLAT",
    "biolatency": "WITH_BIOLATENCY",
    "offcpu": "WITH_OFFCPU",
    "exec": "WITH_EXEC",
    "syscall_counts": "WITH_SYSCALLS",
}
"""The constant that compiles a section in."""

ITERATOR = "iter/task"
"""Not attached: run over all tasks when asked."""


@dataclass(frozen=True)
class Program:
    """One function of probes/*.c and where it is attached.

    ``sections`` names those that cannot be had without it; empty means that the whole run
    needs it (the bookkeeping of whom the run is about).
    """

    function: str
    hook: str
    sections: tuple[str, ...] = ()
    when: tuple[tuple[str, int], ...] = ()
    """Only with these values of the constants that choose the code (plan.py)."""
    details: tuple[str, ...] = ()
    """Only for one of these details, and not needed by the sections for anything else."""
    always: bool = False
    """Attached also without its sections: an exec by a thread changes who is a member."""
    optional: bool = False
    """Left out where the kernel has no such hook; its constant HAVE_<HOOK> tells the C files."""
    callback: str = ""
    """A function that the kernel calls on its behalf, where failed execs are known by that."""

    @property
    def iterates(self) -> bool:
        return self.hook.startswith(ITERATOR)

    @property
    def name(self) -> str:
        """The name shown by ``bpftool prog``: ours start with ``cba_``, 15 characters at most."""
        short = self.hook.replace("/", "_")
        for prefix in ("sched_process_", "sched_", "block_"):
            short = short.removeprefix(prefix)
        return f"cba_{short}"[:15]


DETAIL_SWITCHES = {
    "syscalls": "WITH_SYSCALL_TIMES",
    "exec_failures": "WITH_EXEC_FAILURES",
    "wait_functions": "WITH_WAIT_FUNCTIONS",
}
"""The constant that compiles a detail in."""

EXEC_FAILURES = "exec_failures"
"""The detail that needs no program of its own where execs are awaited."""

TIMED = ("runqlat", "offcpu")

SCOPED = (("SCOPED", 1),)
BY_CLOCK = (("TIMING_ACCOUNTING", 0),)
BY_ACCOUNTING = (("TIMING_ACCOUNTING", 1),)

PROGRAMS = (
    Program("on_sched_process_fork", "sched_process_fork"),
    Program("on_sched_process_exit", "sched_process_exit"),
    Program("on_sched_process_exec", "sched_process_exec", ("exec",), always=True),
    Program("on_sched_switch", "sched_switch", TIMED),
    Program("on_sched_wakeup", "sched_wakeup", TIMED, when=BY_CLOCK),
    Program("on_sched_wakeup", "sched_wakeup_new", TIMED, when=BY_CLOCK),
    Program("on_block_rq_issue", "block_rq_issue", ("biolatency",)),
    Program("on_block_rq_requeue", "block_rq_requeue", ("biolatency",)),
    Program("on_block_rq_complete", "block_rq_complete", ("biolatency",)),
    Program("on_sys_enter", "sys_enter", ("syscall_counts",), callback="on_exec_returned"),
    Program(
        "on_sys_exit",
        "sys_exit",
        ("syscall_counts", "exec"),
        details=("syscalls", "exec_failures"),
    ),
    Program("on_cgroup_attach_task", "cgroup_attach_task", when=SCOPED),
    Program("on_block_io_start", "block_io_start", ("biolatency",), when=SCOPED, optional=True),
    Program("on_iter_prime", f"{ITERATOR}/prime"),
    Program("on_iter_summary", f"{ITERATOR}/summary"),
    Program("on_iter_clock", f"{ITERATOR}/clock", TIMED, when=BY_ACCOUNTING),
)


AWAITING_HOOKS = tuple(program.hook for program in PROGRAMS if program.callback)


def hooks_of_detail(detail: str) -> tuple[str, ...]:
    """Those of the programs that a detail has for itself."""
    return tuple(program.hook for program in PROGRAMS if detail in program.details)


@dataclass(frozen=True)
class Field:
    """A constant holding a field's offset in bytes; the first path that exists is taken."""

    constant: str
    paths: tuple[tuple[str, str], ...]
    sections: tuple[str, ...] = ()
    optional: bool = False


SYSCALL_REGISTER = (("pt_regs", "orig_ax"), ("pt_regs", "syscallno"))
"""Where the number of the syscall that a task is in was saved, by architecture."""
RESULT_REGISTER = (("pt_regs", "ax"), ("pt_regs", "regs"))
"""Where its result is found as the task returns to user space."""
EXEC_RETURNS_NEED = ("exec", "syscall_counts")
"""Sections that a run must have for failed execs to be known at no cost (callbacks.py)."""

FIELDS = (
    Field("TASK_PID", (("task_struct", "pid"),)),
    Field("TASK_TGID", (("task_struct", "tgid"),)),
    Field("TASK_REAL_PARENT", (("task_struct", "real_parent"),)),
    Field("TASK_FLAGS", (("task_struct", "flags"),)),
    Field("TASK_ON_CPU", (("task_struct", "on_cpu"),), TIMED),
    # moved by bcf9033e5449 ("sched: move CPU field back into thread_info"), 5.16
    Field("TASK_CPU", (("task_struct", "thread_info.cpu"), ("task_struct", "cpu")), TIMED),
    # renamed by 2f064a59a11f ("sched: Change task_struct::state"), 5.14
    Field("TASK_STATE", (("task_struct", "__state"), ("task_struct", "state")), TIMED),
    Field("TASK_EXIT_STATE", (("task_struct", "exit_state"),)),
    Field("TASK_COMM", (("task_struct", "comm"),)),
    Field("TASK_RUN_DELAY", (("task_struct", "sched_info.run_delay"),), TIMED),
    Field("TASK_PCOUNT", (("task_struct", "sched_info.pcount"),), TIMED),
    Field("TASK_RUNTIME", (("task_struct", "se.sum_exec_runtime"),), TIMED),
    Field("TASK_LAST_ARRIVAL", (("task_struct", "sched_info.last_arrival"),), TIMED),
    Field("TASK_LAST_QUEUED", (("task_struct", "sched_info.last_queued"),), TIMED),
    # the run queue of a task, whose clock the scheduler tells waits by; CONFIG_FAIR_GROUP_SCHED
    Field("TASK_CFS_RQ", (("task_struct", "se.cfs_rq"),), optional=True),
    Field("CFS_RQ_RQ", (("cfs_rq", "rq"),), optional=True),
    Field("RQ_CLOCK", (("rq", "clock"),), optional=True),
    # the same less interrupts and stolen time, and as of when it is in a task's CPU time
    Field("RQ_CLOCK_TASK", (("rq", "clock_task"),), optional=True),
    Field("TASK_EXEC_START", (("task_struct", "se.exec_start"),), TIMED),
    # since 6.12: asleep, and on the run queue still
    Field("TASK_DELAYED", (("task_struct", "se.sched_delayed"),), optional=True),
    # for a scope that is a cgroup
    Field("TASK_CGROUPS", (("task_struct", "cgroups"),), optional=True),
    Field("CSS_SET_DFL_CGRP", (("css_set", "dfl_cgrp"),), optional=True),
    Field("CGROUP_KN", (("cgroup", "kn"),), optional=True),
    Field("CGROUP_SELF", (("cgroup", "self"),), optional=True),
    Field("CSS_PARENT", (("cgroup_subsys_state", "parent"),), optional=True),
    Field("KERNFS_NODE_ID", (("kernfs_node", "id"),), optional=True),
    Field("ITER_META_SEQ", (("bpf_iter_meta", "seq"),)),
    # x86, arm64; elsewhere blocked time has no reason
    Field("REGS_SYSCALL", SYSCALL_REGISTER, optional=True),
    Field("REGS_RESULT", RESULT_REGISTER, optional=True),
    # x86: by which instruction a syscall was made
    Field("REGS_CX", (("pt_regs", "cx"),), optional=True),
    Field("REGS_IP", (("pt_regs", "ip"),), optional=True),
    Field("TASK_STACK", (("task_struct", "stack"),), optional=True),
    # x86: whether a syscall is of the 32-bit table
    Field("TASK_ABI_STATUS", (("task_struct", "thread_info.status"),), optional=True),
    Field("REQUEST_DATA_LEN", (("request", "__data_len"),), ("biolatency",)),
    Field("REQUEST_CMD_FLAGS", (("request", "cmd_flags"),), ("biolatency",)),
    Field("REQUEST_START_TIME", (("request", "start_time_ns"),), ("biolatency",)),
    Field("REQUEST_QUEUE", (("request", "q"),), ("biolatency",)),
    Field("QUEUE_DISK", (("request_queue", "disk"),), ("biolatency",)),
    Field("DISK_MAJOR", (("gendisk", "major"),), ("biolatency",)),
    Field("DISK_FIRST_MINOR", (("gendisk", "first_minor"),), ("biolatency",)),
)


@dataclass(frozen=True)
class Argument:
    """A constant holding the position of a tracepoint's argument, found by its type.

    ``type_name`` is the struct it points to, or the integer's name; ``nth`` counts from 0
    among the arguments of that type.
    """

    constant: str
    tracepoint: str
    type_name: str
    nth: int = 0
    sections: tuple[str, ...] = ()
    optional: bool = False


ARGUMENTS = (
    Argument("SWITCH_PREV", "sched_switch", "task_struct", 0, TIMED),
    Argument("SWITCH_NEXT", "sched_switch", "task_struct", 1, TIMED),
    # since 5.18; before, the state is read from the task
    Argument("SWITCH_PREV_STATE", "sched_switch", "unsigned int", 0, TIMED, optional=True),
    # (queue, request) before 5.11
    Argument("BLOCK_ISSUE_REQUEST", "block_rq_issue", "request", 0, ("biolatency",)),
)


def programs_for(sections: tuple[str, ...], constants: dict[str, int]) -> tuple[Program, ...]:
    """The programs that a run with these sections attaches, in the order of attaching."""
    costly = {
        detail
        for detail, switch in DETAIL_SWITCHES.items()
        if constants[switch]
        and not (detail == EXEC_FAILURES and constants.get("WITH_EXEC_RETURNS"))
    }
    return tuple(
        program
        for program in PROGRAMS
        if (program.always or not program.sections or set(program.sections) & set(sections))
        and all(constants[name] == value for name, value in program.when)
        and (not program.details or costly.intersection(program.details))
    )
