"""What sections that look at syscalls share: the registers saved on entry, the two tracepoints."""

from agent.sections.spec import POINTER, Argument, Field, Program

ON_SYS_ENTER = Program("on_sys_enter", "sys_enter", callback="on_exec_returned")
ON_SYS_EXIT = Program("on_sys_exit", "sys_exit")
"""Slows down every syscall on the machine, so it is attached only for details."""

SYSCALL_REGISTER = (("pt_regs", "orig_ax"), ("pt_regs", "syscallno"))
"""The saved register with the number of a task's current syscall, by architecture."""
RESULT_REGISTER = (("pt_regs", "ax"), ("pt_regs", "regs"))
"""The saved register with its result as the task returns to user space."""

REGISTERS = (
    # x86, arm64; on other architectures blocked time has no reason
    Field("REGS_SYSCALL", SYSCALL_REGISTER, optional=True),
    Field("REGS_RESULT", RESULT_REGISTER, optional=True, at_least=8),
    # x86: which instruction made the syscall
    Field("REGS_CX", (("pt_regs", "cx"),), optional=True, at_least=8),
    Field("REGS_IP", (("pt_regs", "ip"),), optional=True, at_least=8),
    Field("REGS_ARGUMENT", (("pt_regs", "di"), ("pt_regs", "orig_x0")), optional=True, at_least=8),
    # the call that restart_syscall() continues
    Field("TASK_RESTART_FN", (("task_struct", "restart_block.fn"),), optional=True, reads=POINTER),
    Field("TASK_STACK", (("task_struct", "stack"),), optional=True, reads=POINTER),
    # whether a syscall is from the 32-bit table: x86 marks the call, arm64 the task
    Field(
        "TASK_ABI_STATUS",
        (("task_struct", "thread_info.status"), ("task_struct", "thread_info.flags")),
        optional=True,
    ),
)

ENTER_ARGUMENTS = (
    Argument("SYS_ENTER_REGS", "sys_enter", "pt_regs"),
    Argument("SYS_ENTER_NUMBER", "sys_enter", "long int"),
)
EXIT_ARGUMENTS = (
    Argument("SYS_EXIT_REGS", "sys_exit", "pt_regs"),
    Argument("SYS_EXIT_RESULT", "sys_exit", "long int"),
)
