"""What bcc leaves open in a program's instructions, filled in before they are loaded.

bcc compiles each function alone: it knows no calls of kernel functions, no address of another
function of ours, and nothing that is found out only once there is something to run. Where one
belongs, the C files put a number that means nothing else. Standard library only.
"""

import struct
from collections.abc import Mapping

MARK_SCHEDULE, MARK_CAST, MARK_REGISTERS = 0x7F000001, 0x7F000002, 0x7F000003
"""Calls of two kernel functions (no helper has such a number); a number that is moved."""

MARKS = {
    "MARK_SCHEDULE": MARK_SCHEDULE,
    "MARK_CAST": MARK_CAST,
    "MARK_REGISTERS": MARK_REGISTERS,
}
"""As ``-D`` constants."""

# include/uapi/linux/bpf.h
OP_CALL, OP_LOAD_64, OP_MOVE = 0x85, 0x18, 0xB7
PSEUDO_KFUNC_CALL, PSEUDO_FUNC = 2, 4
INSTRUCTION = struct.Struct("=BBhi")
"""Operation; destination and source registers, 4 bits each; offset; number."""


def link(code: bytes, marks: Mapping[int, int], callback: bytes = b"") -> bytes:
    """The instructions with every mark replaced, and with the callback, if any, behind them.

    A called mark becomes the call of the kernel function with that BTF id, a moved one the number;
    the address of a function (``bpf_pseudo_fd(4, 0)``) becomes that of the callback.
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
        elif operation == OP_LOAD_64 and registers >> 4 == PSEUDO_FUNC:
            number = len(code) // INSTRUCTION.size - index - 1
        linked += INSTRUCTION.pack(operation, registers, offset, number)
    return bytes(linked) + callback
