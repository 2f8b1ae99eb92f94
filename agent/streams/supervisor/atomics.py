"""Whether programs may use the atomic instructions that the wall time needs. Privileged side.

Addition, exchange and comparison that return the value as it was: since 5.12 on x86, later on other
architectures. A tiny program that has all three is loaded, since nothing else says so.
"""

import errno
import os
import struct

from agent.streams.shared import bpf, refusals
from agent.streams.shared.support import Feature, Missing, Unknown

_INSTRUCTION = struct.Struct("=BBhi")
_R0, _R1, _R10 = 0, 1, 10
_FETCH = 0x01
# include/uapi/linux/bpf.h: BPF_ADD | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG
_ADD, _EXCHANGE, _COMPARE = 0x00 | _FETCH, 0xE0 | _FETCH, 0xF0 | _FETCH
_MOVE, _STORE, _ATOMIC, _EXIT = 0xB7, 0x7A, 0xDB, 0x95
_REFUSED = (errno.EINVAL, 524)
"""By the verifier of a kernel without them; ENOTSUPP, by an architecture's JIT compiler."""

PROGRAM = b"".join(
    (
        _INSTRUCTION.pack(_STORE, _R10, -8, 0),
        _INSTRUCTION.pack(_MOVE, _R0, 0, 0),
        *(
            _INSTRUCTION.pack(_MOVE, _R1, 0, 1)
            + _INSTRUCTION.pack(_ATOMIC, _R1 << 4 | _R10, -8, operation)
            for operation in (_ADD, _EXCHANGE, _COMPARE)
        ),
        _INSTRUCTION.pack(_MOVE, _R0, 0, 0),
        _INSTRUCTION.pack(_EXIT, 0, 0, 0),
    )
)


def _has_atomics() -> None:
    try:
        os.close(bpf.load_filter("cba_atomics", PROGRAM))
    except OSError as error:
        if error.errno in _REFUSED:
            raise Missing(
                "this kernel has no atomic instructions for BPF programs that return a value"
            ) from None
        raise Unknown(refusals.refused("loading a program", error).message) from error


ATOMICS = Feature("atomics", _has_atomics, "wall", "5.12", is_final=True)
