"""The programs that a run needs, and what they need from the kernel.

Each section states its own needs in ``agent/sections/NAME/probe.py``. Here is what every run needs
to know which tasks are in scope. Standard library only; Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Union

from agent.sections.exec.probe import EXEC_FAILURES, ON_EXEC
from agent.sections.probes import PROBES, details_of, probes_of
from agent.sections.spec import (
    BYTES,
    ELEMENTS,
    ITERATOR,
    PLACE,
    POINTER,
    SECOND,
    Argument,
    Detail,
    Field,
    Program,
)

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

SCOPED = (("SCOPED", 1),)

PREEMPTION = "preemption"
"""What is missing, next to sections and details, where programs may be preempted and are not made
up for."""
_SECOND_PROGRAMS = tuple(
    Program(f"on_{tracepoint}_2", f"{tracepoint}{SECOND}", when=(("SECOND_PROGRAMS", 1),))
    for tracepoint in ("task_newtask", "sched_process_exit", "sched_process_exec")
)
"""After the first ones: process.c says why."""

BASE_PROGRAMS = (
    Program("on_task_newtask", "task_newtask"),
    Program("on_sched_process_exit", "sched_process_exit"),
    # even without its section: an exec by a thread changes who is a member
    ON_EXEC,
    # without cgroups there is nothing to follow
    Program("on_cgroup_attach_task", "cgroup_attach_task", when=SCOPED, optional=True),
    Program("on_cgroup_rmdir", "cgroup_rmdir", when=SCOPED, optional=True),
    Program("on_cgroup_mkdir", "cgroup_mkdir", when=SCOPED, optional=True),
    *_SECOND_PROGRAMS,
    Program("on_iter_prime", f"{ITERATOR}/prime"),
    Program("on_iter_summary", f"{ITERATOR}/summary"),
    Program("on_iter_identify", f"{ITERATOR}/identify"),
)
"""Used by every run."""

BASE_FIELDS = (
    Field("TASK_PID", (("task_struct", "pid"),)),
    Field("TASK_TGID", (("task_struct", "tgid"),)),
    Field("TASK_REAL_PARENT", (("task_struct", "real_parent"),), reads=POINTER),
    Field("TASK_FLAGS", (("task_struct", "flags"),)),
    Field("TASK_EXIT_STATE", (("task_struct", "exit_state"),), at_least=1),
    Field("TASK_COMM", (("task_struct", "comm"),), reads=BYTES, at_least=16),
    # to tell which process a number means
    Field("TASK_GROUP_LEADER", (("task_struct", "group_leader"),), reads=POINTER),
    Field("TASK_START_BOOTTIME", (("task_struct", "start_boottime"),), at_least=8),
    Field("TASK_THREAD_PID", (("task_struct", "thread_pid"),), reads=POINTER),
    Field("PID_LEVEL", (("pid", "level"),)),
    Field("PID_NUMBERS", (("pid", "numbers"),), reads=ELEMENTS),
    Field("UPID_NR", (("upid", "nr"),)),
    # and whose process that is
    Field("TASK_REAL_CRED", (("task_struct", "real_cred"),), reads=POINTER),
    Field("CRED_UID", (("cred", "uid"),)),
    Field("CRED_EUID", (("cred", "euid"),)),
    Field("CRED_SUID", (("cred", "suid"),)),
    # for cgroup scopes
    Field("TASK_CGROUPS", (("task_struct", "cgroups"),), optional=True, reads=POINTER),
    Field("CSS_SET_DFL_CGRP", (("css_set", "dfl_cgrp"),), optional=True, reads=POINTER),
    Field("CGROUP_KN", (("cgroup", "kn"),), optional=True, reads=POINTER),
    Field("CGROUP_SELF", (("cgroup", "self"),), optional=True, reads=PLACE),
    Field("CGROUP_ROOT", (("cgroup", "root"),), optional=True, reads=POINTER),
    Field("ROOT_HIERARCHY_ID", (("cgroup_root", "hierarchy_id"),), optional=True),
    Field("KERNFS_NODE_HASH", (("kernfs_node", "hash"),), optional=True),
    Field("CSS_PARENT", (("cgroup_subsys_state", "parent"),), optional=True, reads=POINTER),
    Field("KERNFS_NODE_ID", (("kernfs_node", "id"),), optional=True, at_least=8),
    Field("ITER_META_SEQ", (("bpf_iter_meta", "seq"),), reads=POINTER),
    # nonzero under a seccomp filter
    Field("TASK_SECCOMP_MODE", (("task_struct", "seccomp.mode"),), optional=True, at_least=1),
    Field("TASK_IO_URING", (("task_struct", "io_uring"),), optional=True, reads=POINTER),
)

BASE_ARGUMENTS = (
    Argument("NEWTASK_TASK", "task_newtask", "task_struct"),
    Argument("EXIT_TASK", "sched_process_exit", "task_struct"),
    Argument("EXEC_TASK", "sched_process_exec", "task_struct"),
    # a pid_t
    Argument("EXEC_OLD_PID", "sched_process_exec", "int"),
    # for scopes
    Argument("ATTACH_TASK", "cgroup_attach_task", "task_struct", optional=True),
    Argument("RMDIR_CGROUP", "cgroup_rmdir", "cgroup", optional=True),
    Argument("MKDIR_CGROUP", "cgroup_mkdir", "cgroup", optional=True),
)

BASE_HELPERS = (
    *("ktime_get_ns", "ktime_get_boot_ns", "get_smp_processor_id", "probe_read_kernel"),
    *("get_current_task", "get_current_pid_tgid", "seq_write"),
)
"""Of each transport there are more; whether the kernel has a ring is tried (buffers.py)."""
OPTIONAL_HELPERS = {
    # since 5.11: the current task as one whose fields can be loaded
    "HAVE_CURRENT_TASK_BTF": "get_current_task_btf",
    # since 5.15
    "HAVE_TASK_PT_REGS": "task_pt_regs",
}
"""The constant that says that the kernel has a helper."""

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

_DETAILS = tuple(detail for probe in PROBES for detail in probe.details)

FIELDS = tuple(
    dict.fromkeys(
        (
            *BASE_FIELDS,
            *(field for probe in PROBES for field in probe.fields),
            *(field for detail in _DETAILS for field in detail.fields),
        )
    )
)
BITS = tuple(dict.fromkeys(bit for probe in PROBES for bit in probe.bits))
ARGUMENTS = tuple(
    dict.fromkeys(
        (
            *BASE_ARGUMENTS,
            *(argument for probe in PROBES for argument in probe.arguments),
            *(argument for detail in _DETAILS for argument in detail.arguments),
        )
    )
)
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
    return _chosen(programs, constants)


def _needs_programs(detail: Detail, constants: Mapping[str, int]) -> bool:
    if not constants[detail.switch]:
        return False
    return not (detail == EXEC_FAILURES and constants.get("WITH_EXEC_RETURNS"))


@dataclass(frozen=True)
class Needs:
    """What the kernel must have for a section or a detail to be measured."""

    constants: tuple[str, ...]
    """Of fields and arguments."""
    one_of: tuple[tuple[str, ...], ...]
    helpers: tuple[str, ...]
    programs: tuple[Program, ...]


def needs_of(section: str, constants: Mapping[str, int]) -> Needs:
    """Return what a section needs, with what every run does."""
    (probe,) = probes_of((section,))
    programs = (*BASE_PROGRAMS, *probe.programs)
    return _needs(
        (*BASE_FIELDS, *BASE_ARGUMENTS, *probe.fields, *probe.arguments),
        probe.one_of,
        BASE_HELPERS,
        _chosen(programs, constants),
    )


def needs_of_detail(detail: Detail, constants: Mapping[str, int]) -> Needs:
    """Return what a detail needs beyond its section."""
    needs: tuple[Need, ...] = (*detail.fields, *detail.arguments)
    return _needs(needs, detail.one_of, detail.helpers, _chosen(detail.programs, constants))


def _needs(
    needs: Iterable[Need],
    one_of: tuple[tuple[str, ...], ...],
    helpers: tuple[str, ...],
    programs: tuple[Program, ...],
) -> Needs:
    constants = tuple(need.constant for need in needs if not need.optional)
    return Needs(constants, one_of, helpers, programs)


def _chosen(programs: Iterable[Program], constants: Mapping[str, int]) -> tuple[Program, ...]:
    return tuple(
        program
        for program in _unique(programs)
        if all(constants.get(name, 0) == value for name, value in program.when)
    )


def attached_hooks(section: str, constants: Mapping[str, int]) -> tuple[str, ...]:
    """Return the hooks that a section's own programs are attached to."""
    (probe,) = probes_of((section,))
    programs = programs_for((section,), constants)
    return tuple(p.hook for p in programs if p in probe.programs and not p.iterates)


def hooks_of_detail(name: str) -> tuple[str, ...]:
    """Return the hooks of a detail's own programs."""
    programs = (program for detail in details_of((name,)) for program in detail.programs)
    return tuple(dict.fromkeys(program.hook for program in programs if not program.iterates))
