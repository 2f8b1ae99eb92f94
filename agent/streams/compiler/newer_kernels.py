"""Features of newer kernels that reduce cost, found by name; programs also work without them.

Each is tried alone before anything is compiled for it (`trial.py`). No request fails because of
them: if the kernel refuses one later, all of them are left out. Used by the compiler process.
Standard library only.
"""

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from agent.sections.exec.probe import FAILURES_NEED
from agent.streams.compiler import trial
from agent.streams.compiler.btf import KIND_FUNC, KIND_STRUCT, KernelTypes
from agent.streams.compiler.callbacks import SCHEDULE, Callbacks, open_callbacks
from agent.streams.compiler.linking import (
    MARK_CAST,
    MARK_PREEMPT_DISABLE,
    MARK_PREEMPT_ENABLE,
    MARK_REGISTERS,
    MARK_SCHEDULE,
    MARKS,
)
from agent.streams.shared import bpf, specs

CAST = "bpf_rdonly_cast"
"""Since 6.2. A move, not a call: it makes the verifier allow reads of a type at an address."""
PREEMPTION_OFF = "bpf_preempt_disable"
PREEMPTION = {
    MARK_PREEMPT_DISABLE: PREEMPTION_OFF,
    MARK_PREEMPT_ENABLE: "bpf_preempt_enable",
}
"""Since 6.10, for programs that run with preemption on."""

PREEMPTED = ("tp_transition_snapshot", "srcu_gp")
"""A field since 7.0, where a tracepoint's programs no longer run with preemption off (a46023d5616e,
"tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast"): the state of
tracepoints then includes an SRCU grace period (kernel/tracepoint.c)."""

UNGUARDED = (
    "this kernel may preempt programs, and they do not forbid it here: they have no second "
    "programs for what it skips, and the account of a task that is preempted as it is "
    "counted may be wrong"
)

REGISTERS = "on_iter_registers"
"""The function that finds the distance from a task's stack to its saved registers. It is there if
programs use that distance: where the kernel casts addresses, and where it has no helper."""
AWAITING_NEEDS = ("REGS_RESULT", "HAVE_TASK_PT_REGS", "EXECVE_NUMBER", "EXECVEAT_NUMBER")
REGISTERS_NEED = ("TASK_STACK", "HAVE_TASK_PT_REGS")
"""Constants that a kernel with this feature has on x86 and arm64, and may lack elsewhere."""
RESTARTS = {
    "do_restart_poll": "POLL_NUMBER",
    # what futex_wait_restart() sets before it waits; no other call waits with it
    "do_no_restart_syscall": "FUTEX_NUMBER",
    "hrtimer_nanosleep_restart": "NANOSLEEP_NUMBER",
    "posix_cpu_nsleep_restart": "CLOCK_NANOSLEEP_NUMBER",
    "alarm_timer_nsleep_restart": "CLOCK_NANOSLEEP_NUMBER",
}
"""Functions that continue an interrupted call, with the constant for the call. Since 6.0 the
kernel fills in the address of a function (``BPF_PSEUDO_BTF_ID``). No type says so, and 6.2 is the
next version that one knows by a type: the cast's."""
RESTARTS_NEED = ("TASK_RESTART_FN", "RESTART_SYSCALL_NUMBER", "REGS_ARGUMENT")
FUNCTIONS = (CAST, *PREEMPTION.values(), *SCHEDULE, *RESTARTS, "bpf_iter_task")
"""Functions of the kernel that are looked for by name."""
STRUCTS = ("pt_regs", "rq", "task_struct")
"""Structs that an address can be cast to."""
RUN_QUEUE_NEEDS = ("TASK_CFS_RQ", "CFS_RQ_RQ", "RQ_CLOCK")


@dataclass(frozen=True)
class Newer:
    """The newer features that this kernel has; by default none."""

    callbacks: Optional[Callbacks] = None
    cast_id: Optional[int] = None
    registers_type: int = 0
    run_queue_type: int = 0
    restarts: Mapping[str, int] = field(default_factory=dict)
    """BTF ids of functions of RESTARTS."""
    preemption: Mapping[int, int] = field(default_factory=dict)
    """The BTF ids of `PREEMPTION`, by mark; all of them or none."""
    preempts: bool = False
    """See `may_preempt`."""
    refused: str = ""
    """Which of them this kernel has and refuses, and why; otherwise empty."""

    def constants(self) -> dict[str, int]:
        """Return the ``-D`` constants that select the code."""
        return {
            **MARKS,
            "DIRECT_REGISTERS": int(bool(self.registers_type)),
            "PT_REGS_TYPE": self.registers_type,
            "DIRECT_RUN_QUEUE": int(bool(self.run_queue_type)),
            "RQ_TYPE": self.run_queue_type,
            "PREEMPTION_CONTROL": int(bool(self.preemption)),
            "SECOND_PROGRAMS": int(bool(self.preemption) and self.preempts),
            "WITH_EXEC_RETURNS": int(self.callbacks is not None),
            **{f"FN_{function.upper()}": number for function, number in self.restarts.items()},
            **(self.callbacks.constants() if self.callbacks else {}),
        }

    def marks(self, types: KernelTypes, functions: Mapping[str, bytes]) -> dict[int, int]:
        """Return what replaces each of these features' marks in compiled functions.

        Raises bpf.LoadFailed, or OSError if the distance to the registers differs between tasks.
        """
        marks = dict(self.preemption)
        if self.callbacks:
            marks[MARK_SCHEDULE] = self.callbacks.schedule_id
        if self.cast_id is not None:
            marks[MARK_CAST] = self.cast_id
        if REGISTERS in functions:
            marks[MARK_REGISTERS] = _registers_distance(types, functions)
        return marks

    def close(self) -> None:
        if self.callbacks:
            self.callbacks.close()


def may_preempt(types: KernelTypes) -> bool:
    """Return whether this kernel may preempt programs in process context."""
    return types.place_of(*PREEMPTED) is not None


def newer_kernel(
    types: KernelTypes, constants: dict[str, int], sections: tuple[str, ...], preempts: bool
) -> Newer:
    """Return the features of this kernel that a run of these sections can use. Raises OSError.

    ``preempts``: see `may_preempt`.
    """
    awaits = set(FAILURES_NEED) <= set(sections) and constants.keys() >= set(AWAITING_NEEDS)
    cast, preemption = _cast(types), _preemption(types)
    calls: dict[str, trial.Calls] = {}
    if cast is not None:
        calls[CAST] = trial.cast(*cast)
    if preemption:
        calls[PREEMPTION_OFF] = trial.preemption(*preemption.values())
    refused = trial.refusals(types, calls)
    cast_id = cast[0] if cast and CAST not in refused else None
    callbacks, no_callbacks = open_callbacks(types) if awaits else (None, "")

    def castable(name: str, needs: Sequence[str]) -> int:
        if cast_id is None or not constants.keys() >= set(needs):
            return 0
        return types.type_id(name, KIND_STRUCT) or 0

    return Newer(
        callbacks,
        cast_id,
        castable("pt_regs", REGISTERS_NEED),
        castable("rq", RUN_QUEUE_NEEDS),
        _restarts(types, constants) if cast_id is not None else {},
        {} if PREEMPTION_OFF in refused else preemption,
        preempts,
        "; ".join(filter(None, (*map(": ".join, refused.items()), no_callbacks))),
    )


def unguarded(newer: Newer) -> dict[str, str]:
    """Return what is missing if programs may be preempted without a remedy, and why."""
    return {specs.PREEMPTION: UNGUARDED} if newer.preempts and not newer.preemption else {}


def _cast(types: KernelTypes) -> Optional[tuple[int, int]]:
    """Return the id of the cast and of a type for it; None if the kernel lacks one."""
    cast_id, target = types.type_id(CAST, KIND_FUNC), types.type_id("task_struct", KIND_STRUCT)
    return None if cast_id is None or target is None else (cast_id, target)


def _restarts(types: KernelTypes, constants: dict[str, int]) -> dict[str, int]:
    if not constants.keys() >= set(RESTARTS_NEED):
        return {}
    functions = {
        function: types.type_id(function, KIND_FUNC)
        for function, call in RESTARTS.items()
        if call in constants
    }
    return {function: found for function, found in functions.items() if found is not None}


def _preemption(types: KernelTypes) -> dict[int, int]:
    ids = {mark: types.type_id(name, KIND_FUNC) for mark, name in PREEMPTION.items()}
    known = {mark: type_id for mark, type_id in ids.items() if type_id is not None}
    return known if len(known) == len(ids) else {}


def _registers_distance(types: KernelTypes, functions: Mapping[str, bytes]) -> int:
    """Return the bytes from the bottom of a task's stack to its saved registers.

    The distance is the same for all tasks. It depends on THREAD_SIZE and on what the architecture
    leaves free at the top of the stack, so an iterator asks the kernel, which knows both, or looks
    where its own task's are.
    """
    iterator_type = types.type_id("bpf_iter_task", KIND_FUNC)
    code = functions[REGISTERS]
    fd = bpf.load_tracing("cba_registers", code, bpf.ATTACH_TRACE_ITER, iterator_type or 0)
    try:
        found = bpf.run_iterator(fd)
    finally:
        os.close(fd)
    pairs: list[tuple[int, int]] = list(struct.iter_unpack("=QQ", found))
    # a task that has exited no longer has a stack
    distances = {registers - stack for stack, registers in pairs if stack}
    if len(distances) != 1:
        raise OSError(f"{len(distances)} distances from the stack to the registers")
    return distances.pop()
