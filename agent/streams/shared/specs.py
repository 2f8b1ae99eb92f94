"""The programs that a run needs, and what they need from the kernel.

Each section states its own needs in ``agent/sections/NAME/probe.py``. Here is what every run needs
to know which tasks are in scope. Standard library only; Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Union

from agent.sections.exec.probe import EXEC_FAILURES, ON_EXEC
from agent.sections.probes import PROBES, details_of, probes_of
from agent.sections.spec import ITERATOR, Argument, Detail, Field, Program

SOURCES = (
    "streams/probes/sched.c",
    "streams/probes/sched_accounting.c",
    "streams/probes/process.c",
    "streams/probes/tasks.c",
    *(f"sections/{source}" for probe in PROBES for source in probe.sources),
)
"""The C files, relative to ``agent``. Together they form one translation unit."""

SWITCHES = {probe.name: probe.switch for probe in PROBES}
"""The constant that compiles in each section."""
DETAIL_SWITCHES = {detail.name: detail.switch for probe in PROBES for detail in probe.details}
"""The constant that compiles in each detail."""

BASE_PROGRAMS = (
    Program("on_task_newtask", "task_newtask"),
    Program("on_sched_process_exit", "sched_process_exit"),
    # even without its section: an exec by a thread changes who is a member
    ON_EXEC,
    Program("on_cgroup_attach_task", "cgroup_attach_task", when=(("SCOPED", 1),)),
    Program("on_cgroup_rmdir", "cgroup_rmdir", when=(("SCOPED", 1),)),
    Program("on_cgroup_mkdir", "cgroup_mkdir", when=(("SCOPED", 1),)),
    Program("on_iter_prime", f"{ITERATOR}/prime"),
    Program("on_iter_summary", f"{ITERATOR}/summary"),
    Program("on_iter_identify", f"{ITERATOR}/identify"),
)
"""Used by every run."""

BASE_FIELDS = (
    Field("TASK_PID", (("task_struct", "pid"),)),
    Field("TASK_TGID", (("task_struct", "tgid"),)),
    Field("TASK_REAL_PARENT", (("task_struct", "real_parent"),)),
    Field("TASK_FLAGS", (("task_struct", "flags"),)),
    Field("TASK_EXIT_STATE", (("task_struct", "exit_state"),)),
    Field("TASK_COMM", (("task_struct", "comm"),)),
    # to tell which process a number means
    Field("TASK_GROUP_LEADER", (("task_struct", "group_leader"),)),
    Field("TASK_START_BOOTTIME", (("task_struct", "start_boottime"),)),
    Field("TASK_THREAD_PID", (("task_struct", "thread_pid"),)),
    Field("PID_LEVEL", (("pid", "level"),)),
    Field("PID_NUMBERS", (("pid", "numbers"),)),
    Field("UPID_NR", (("upid", "nr"),)),
    Field("UPID_NS", (("upid", "ns"),)),
    # and whose process that is
    Field("TASK_REAL_CRED", (("task_struct", "real_cred"),)),
    Field("CRED_UID", (("cred", "uid"),)),
    Field("CRED_EUID", (("cred", "euid"),)),
    Field("CRED_SUID", (("cred", "suid"),)),
    # for cgroup scopes
    Field("TASK_CGROUPS", (("task_struct", "cgroups"),), optional=True),
    Field("CSS_SET_DFL_CGRP", (("css_set", "dfl_cgrp"),), optional=True),
    Field("CGROUP_KN", (("cgroup", "kn"),), optional=True),
    Field("CGROUP_SELF", (("cgroup", "self"),), optional=True),
    Field("CGROUP_ROOT", (("cgroup", "root"),), optional=True),
    Field("ROOT_HIERARCHY_ID", (("cgroup_root", "hierarchy_id"),), optional=True),
    Field("KERNFS_NODE_HASH", (("kernfs_node", "hash"),), optional=True),
    Field("CSS_PARENT", (("cgroup_subsys_state", "parent"),), optional=True),
    Field("KERNFS_NODE_ID", (("kernfs_node", "id"),), optional=True),
    Field("ITER_META_SEQ", (("bpf_iter_meta", "seq"),)),
    # nonzero under a seccomp filter
    Field("TASK_SECCOMP_MODE", (("task_struct", "seccomp.mode"),), optional=True),
    Field("TASK_IO_URING", (("task_struct", "io_uring"),), optional=True),
)


Need = Union[Field, Argument]


def _unique(items: Iterable[Program]) -> tuple[Program, ...]:
    return tuple(dict.fromkeys(items))


PROGRAMS = _unique(
    (
        *BASE_PROGRAMS,
        *(program for probe in PROBES for program in probe.programs),
        *(p for probe in PROBES for detail in probe.details for p in detail.programs),
    )
)
"""All programs, without duplicates."""

FIELDS = tuple(dict.fromkeys((*BASE_FIELDS, *(f for probe in PROBES for f in probe.fields))))
BITS = tuple(dict.fromkeys(bit for probe in PROBES for bit in probe.bits))
ARGUMENTS = tuple(dict.fromkeys(a for probe in PROBES for a in probe.arguments))
FLAGS = tuple(flag for probe in PROBES for flag in probe.flags)

AWAITING_HOOKS = tuple(program.hook for program in PROGRAMS if program.callback)


def programs_for(sections: Iterable[str], constants: Mapping[str, int]) -> tuple[Program, ...]:
    """Return the programs that a run with these sections uses, in the order of attaching."""
    chosen = probes_of(sections)
    programs = (
        *BASE_PROGRAMS,
        *(program for probe in chosen for program in probe.programs),
        *(
            program
            for probe in chosen
            for detail in probe.details
            if _needs_programs(detail, constants)
            for program in detail.programs
        ),
    )
    return tuple(
        program
        for program in _unique(programs)
        if all(constants[name] == value for name, value in program.when)
    )


def _needs_programs(detail: Detail, constants: Mapping[str, int]) -> bool:
    if not constants[detail.switch]:
        return False
    return not (detail == EXEC_FAILURES and constants.get("WITH_EXEC_RETURNS"))


def needs_of(section: str) -> tuple[Need, ...]:
    """Return the fields and arguments without which a section cannot be measured."""
    (probe,) = probes_of((section,))
    needs: tuple[Need, ...] = (*BASE_FIELDS, *probe.fields, *probe.arguments)
    return tuple(need for need in needs if not need.optional)


def attached_hooks(section: str, constants: Mapping[str, int]) -> tuple[str, ...]:
    """Return the hooks that a section's own programs are attached to."""
    (probe,) = probes_of((section,))
    programs = programs_for((section,), constants)
    return tuple(p.hook for p in programs if p in probe.programs and not p.iterates)


def hooks_of_detail(name: str) -> tuple[str, ...]:
    """Return the hooks of a detail's own programs."""
    programs = (program for detail in details_of((name,)) for program in detail.programs)
    return tuple(dict.fromkeys(program.hook for program in programs if not program.iterates))
