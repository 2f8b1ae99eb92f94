"""What sections share that look at syscalls: the registers saved on entry, the two tracepoints."""

from agent.sections.spec import Field, Program

ON_SYS_ENTER = Program("on_sys_enter", "sys_enter", callback="on_exec_returned")
ON_SYS_EXIT = Program("on_sys_exit", "sys_exit")
"""Paid for by every syscall of the machine: attached for details only."""

SYSCALL_REGISTER = (("pt_regs", "orig_ax"), ("pt_regs", "syscallno"))
"""Where the number of the syscall that a task is in was saved, by architecture."""
RESULT_REGISTER = (("pt_regs", "ax"), ("pt_regs", "regs"))
"""Where its result is found as the task returns to user space."""

REGISTERS = (
    # x86, arm64; elsewhere blocked time has no reason
    Field("REGS_SYSCALL", SYSCALL_REGISTER, optional=True),
    Field("REGS_RESULT", RESULT_REGISTER, optional=True),
    # x86: by which instruction a syscall was made
    Field("REGS_CX", (("pt_regs", "cx"),), optional=True),
    Field("REGS_IP", (("pt_regs", "ip"),), optional=True),
    Field("TASK_STACK", (("task_struct", "stack"),), optional=True),
    # x86: whether a syscall is of the 32-bit table
    Field("TASK_ABI_STATUS", (("task_struct", "thread_info.status"),), optional=True),
)
