"""Fill in what bcc leaves open in a program's instructions, before they are loaded.

bcc compiles each function separately. It does not support calls of kernel functions, and it does
not know the addresses of our other functions or values that only a running program can find. In
place of each, the C files put a number that means nothing else. The maps' fds are such values too:
they differ from one start of the agent to the next, and the rest of the instructions does not.
Standard library only.
"""

import struct
from collections.abc import Mapping

MARK_SCHEDULE, MARK_CAST = 0x7F000001, 0x7F000002
"""Calls of kernel functions; no helper has such a number."""
MARK_REGISTERS = 0x7F000003
"""The immediate of a move."""
MARK_PREEMPT_DISABLE, MARK_PREEMPT_ENABLE = 0x7F000004, 0x7F000005
"""Calls of kernel functions."""
FIRST_MAP_MARK = 0x7F000100
"""Of the maps, in the order of their names; far above any fd."""
MAP_SUFFIX = "_FD"
"""Of the constants that hold the fd of a map, and of no others."""

MARKS = {
    "MARK_SCHEDULE": MARK_SCHEDULE,
    "MARK_CAST": MARK_CAST,
    "MARK_REGISTERS": MARK_REGISTERS,
    "MARK_PREEMPT_DISABLE": MARK_PREEMPT_DISABLE,
    "MARK_PREEMPT_ENABLE": MARK_PREEMPT_ENABLE,
}
"""As ``-D`` constants."""

# include/uapi/linux/bpf.h
OP_CALL, OP_LOAD_64, OP_MOVE = 0x85, 0x18, 0xB7
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE = 1, 2
PSEUDO_KFUNC_CALL, PSEUDO_FUNC = 2, 4
INSTRUCTION = struct.Struct("=BBhi")
"""Opcode; destination and source registers, 4 bits each; offset; immediate."""


def without_fds(constants: Mapping[str, int]) -> tuple[dict[str, int], dict[int, int]]:
    """Return the constants with a mark in place of each map's fd, and the fd for each mark."""
    names = sorted(name for name in constants if name.endswith(MAP_SUFFIX))
    marks = {name: FIRST_MAP_MARK + position for position, name in enumerate(names)}
    return {**constants, **marks}, {mark: constants[name] for name, mark in marks.items()}


def link(code: bytes, marks: Mapping[int, int], callback: bytes = b"") -> bytes:
    """Return the instructions with every mark replaced, followed by the callback, if any.

    ``marks`` gives the BTF id of the kernel function for a mark that is called, the number for one
    that is moved, and the fd for one that stands for a map. The address of a function
    (``bpf_pseudo_fd(4, 0)``) becomes that of the callback, which has to be linked itself.
    """
    linked = bytearray()
    for index in range(len(code) // INSTRUCTION.size):
        operation, registers, offset, number = INSTRUCTION.unpack_from(
            code, index * INSTRUCTION.size
        )
        if operation == OP_CALL and number in marks:
            registers, number = PSEUDO_KFUNC_CALL << 4, marks[number]
        elif operation == OP_MOVE and number in marks:
            number = marks[number]
        elif operation == OP_LOAD_64 and registers >> 4 in (PSEUDO_MAP_FD, PSEUDO_MAP_VALUE):
            number = marks.get(number, number)
        elif operation == OP_LOAD_64 and registers >> 4 == PSEUDO_FUNC:
            number = len(code) // INSTRUCTION.size - index - 1
        linked += INSTRUCTION.pack(operation, registers, offset, number)
    return bytes(linked) + callback
