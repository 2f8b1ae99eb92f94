"""Whether the kernel lets programs call its functions: a tiny program with the call is loaded.

That a kernel's BTF has a function does not say so: since 7.0 it still has
``bpf_task_work_schedule_resume_impl``, which the verifier refuses (KF_IMPLICIT_ARGS replaced it).
Each function is tried alone, so that the refusal of one costs only what is built on that one, and
before anything is compiled for it. Standard library only; Python 3.9.
"""

import os
from collections.abc import Mapping, Sequence

from agent.streams.compiler.btf import KernelTypes
from agent.streams.compiler.linking import (
    INSTRUCTION,
    OP_CALL,
    OP_LOAD_64,
    OP_MOVE,
    PSEUDO_FUNC,
    PSEUDO_KFUNC_CALL,
    PSEUDO_MAP_FD,
)
from agent.streams.shared import bpf

HOOK = "task_newtask"
"""Of programs that are never attached: a tracepoint that every run needs."""

_R0, _R1, _R2, _R3, _R4, _R5, _R6, _R10 = 0, 1, 2, 3, 4, 5, 6, 10
# include/uapi/linux/bpf.h, bpf_common.h: opcodes
_COPY, _ADD, _STORE_32, _JUMP_IF_EQUAL, _EXIT = 0xBF, 0x07, 0x62, 0x15, 0x95
_LOOKUP, _CURRENT_TASK = 1, 158
"""The helpers bpf_map_lookup_elem() and bpf_get_current_task_btf()."""

Instruction = tuple[int, int, int, int, int]
"""Opcode, destination, source, offset, immediate."""


def _call(function: int) -> Instruction:
    return OP_CALL, 0, PSEUDO_KFUNC_CALL, 0, function


def _load(register: int, kind: int, number: int) -> tuple[Instruction, Instruction]:
    return (OP_LOAD_64, register, kind, 0, number), (0, 0, 0, 0, 0)


_RETURN: tuple[Instruction, ...] = ((OP_MOVE, _R0, 0, 0, 0), (_EXIT, 0, 0, 0, 0))


Calls = tuple[Instruction, ...]
"""A part of a program."""


def cast(function: int, type_id: int) -> Calls:
    """Return a call of bpf_rdonly_cast()."""
    return (OP_MOVE, _R1, 0, 0, 0), (OP_MOVE, _R2, 0, 0, type_id), _call(function)


def preemption(disable: int, enable: int) -> Calls:
    """Return calls of bpf_preempt_disable() and bpf_preempt_enable()."""
    return _call(disable), _call(enable)


def refusals(types: KernelTypes, calls: Mapping[str, Calls]) -> dict[str, str]:
    """Return which of these calls the kernel refuses, and why.

    All are tried in one program, which takes the kernel a millisecond; alone only if it refuses.
    """
    together = tuple(instruction for part in calls.values() for instruction in part)
    if not calls or not refusal(types, _packed((*together, *_RETURN))):
        return {}
    alone = {name: refusal(types, _packed((*part, *_RETURN))) for name, part in calls.items()}
    return {name: reason for name, reason in alone.items() if reason}


def schedule(function: int, map_fd: int, work_offset: int) -> bytes:
    """Return a program that schedules a callback to the current task.

    ``work_offset``: where the map's value has its ``struct bpf_task_work``.
    """
    main = (
        (OP_CALL, 0, 0, 0, _CURRENT_TASK),
        (_COPY, _R6, _R0, 0, 0),
        (_STORE_32, _R10, 0, -4, 0),
        *_load(_R1, PSEUDO_MAP_FD, map_fd),
        (_COPY, _R2, _R10, 0, 0),
        (_ADD, _R2, 0, 0, -4),
        (OP_CALL, 0, 0, 0, _LOOKUP),
        (_JUMP_IF_EQUAL, _R0, 0, 9, 0),
        (_COPY, _R2, _R0, 0, 0),
        (_ADD, _R2, 0, 0, work_offset),
        (_COPY, _R1, _R6, 0, 0),
        *_load(_R3, PSEUDO_MAP_FD, map_fd),
        *_load(_R4, PSEUDO_FUNC, 0),
        (OP_MOVE, _R5, 0, 0, 0),
        _call(function),
        *_RETURN,
    )
    return _packed(main)


def refusal(types: KernelTypes, code: bytes, types_fd: int = 0, functions: bytes = b"") -> str:
    """Return why the kernel refuses a program; empty if it accepts it."""
    hook = types.tracepoint_id(HOOK)
    if hook is None:
        return f"no tracepoint {HOOK}"
    attach = bpf.ATTACH_TRACE_RAW_TP
    try:
        os.close(bpf.load_tracing("cba_trial", code, attach, hook, types_fd, functions))
    except bpf.LoadFailed as error:
        return str(error)
    return ""


def _packed(instructions: Sequence[Instruction]) -> bytes:
    return b"".join(
        INSTRUCTION.pack(operation, source << 4 | destination, offset, number)
        for operation, destination, source, offset, number in instructions
    )


CALLBACK = _packed(_RETURN)
"""A function that does nothing, to be linked to what `schedule` returns."""
