"""Execs: one event per successful exec; failed ones are counted by errno."""

from agent.sections import syscalls
from agent.sections.spec import Detail, Probe, Program, Stream

ON_EXEC = Program("on_sched_process_exec", "sched_process_exec")

EXEC_FAILURES = Detail(
    "exec_failures",
    "WITH_EXEC_FAILURES",
    programs=(syscalls.ON_SYS_EXIT,),
    arguments=syscalls.EXIT_ARGUMENTS,
)
"""Failed execs by errno. Attaches no extra program where the kernel can call one back."""
FAILURES_NEED = ("exec", "syscall_counts")
"""Sections that a run must include to count failed execs at no extra cost (callbacks.py)."""

PROBE = Probe(
    name="exec",
    switch="WITH_EXEC",
    programs=(ON_EXEC,),
    fields=syscalls.REGISTERS,
    streams=(Stream("exec", words=4),),
    details=(EXEC_FAILURES,),
)
