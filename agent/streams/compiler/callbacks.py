"""What a program with a kernel callback needs beyond what bcc compiles.

``bpf_task_work_schedule_resume()`` (since 6.18) has a function of the program called when a
task returns to user space. The verifier requires that function among the program's own
instructions, a type for each function, and a map whose value type contains a
``struct bpf_task_work``. bcc generates none of these types. Standard library only.
"""

import os
import struct
from dataclasses import dataclass
from typing import Optional

from agent.streams.compiler import trial
from agent.streams.compiler.btf import (
    KIND_FUNC,
    KIND_FUNC_PROTO,
    KIND_INT,
    KIND_STRUCT,
    KernelTypes,
)
from agent.streams.compiler.linking import INSTRUCTION, link
from agent.streams.shared import bpf

SCHEDULE = ("bpf_task_work_schedule_resume", "bpf_task_work_schedule_resume_impl")
"""Since 7.0 the verifier itself adds the last argument (KF_IMPLICIT_ARGS); before, the function had
another name, which later kernels' BTF still has. The arguments that we give are right for both."""
PLACES = 256
"""Tasks that can be awaited at a time; a power of two. Of two that share a place, one is missed."""
PLACE_SIZE = 16
WORK_OFFSET = 8


@dataclass(frozen=True)
class Callbacks:
    """The types and the map of awaited tasks. Loaded programs keep both alive."""

    types_fd: int
    awaited_fd: int
    schedule_id: int

    def constants(self) -> dict[str, int]:
        """Return the ``-D`` constants for the code that uses the callbacks."""
        return {
            "WITH_EXEC_RETURNS": 1,
            "AWAITED_FD": self.awaited_fd,
            "AWAITED_MASK": PLACES - 1,
        }

    def functions(self, main: bytes) -> bytes:
        """Return the ``struct bpf_func_info`` of a program and of the callback that follows it."""
        return struct.pack("=IIII", 0, _MAIN, len(main) // INSTRUCTION.size, _CALLBACK)

    def close(self) -> None:
        os.close(self.types_fd)
        os.close(self.awaited_fd)


def open_callbacks(types: KernelTypes) -> tuple[Optional[Callbacks], str]:
    """Create the types and the map, and try the call.

    None if the kernel lacks the function or refuses the call, and why it does. Raises OSError.
    """
    found = {name: types.type_id(name, KIND_FUNC) for name in SCHEDULE}
    refused: list[str] = []
    if not any(found.values()):
        return None, ""
    types_fd, awaited_fd = _open()
    for name, schedule_id in found.items():
        if schedule_id is None:
            continue
        callbacks = Callbacks(types_fd, awaited_fd, schedule_id)
        main = trial.schedule(schedule_id, awaited_fd, WORK_OFFSET)
        code = link(main, {}, trial.CALLBACK)
        reason = trial.refusal(types, code, types_fd, callbacks.functions(main))
        if not reason:
            return callbacks, ""
        refused.append(f"{name}: {reason}")
    os.close(types_fd)
    os.close(awaited_fd)
    return None, "; ".join(refused)


def _open() -> tuple[int, int]:
    """Return the fds of the types and of the map. Raises OSError."""
    types_fd = bpf.load_types(_types())
    try:
        awaited_fd = bpf.create_map(
            "cba_awaited",
            bpf.MAP_TYPE_ARRAY,
            key=4,
            value=PLACE_SIZE,
            entries=PLACES,
            types=(types_fd, _KEY, _PLACE),
        )
    except OSError:
        os.close(types_fd)
        raise
    return types_fd, awaited_fd


_KEY, _WORD, _INT, _WORK, _PLACE, _PROTOTYPE, _MAIN, _CALLBACK = range(1, 9)


def _types() -> bytes:
    """Return a BTF blob (Documentation/bpf/btf.rst) with the types numbered above."""
    names = bytearray(b"\0")
    types = bytearray()

    def name(text: str) -> int:
        position = len(names)
        names.extend(text.encode() + b"\0")
        return position

    def add(text: str, kind: int, size: int, *rest: int, members: int = 0) -> None:
        position = name(text) if text else 0
        types.extend(struct.pack(f"={3 + len(rest)}I", position, kind << 24 | members, size, *rest))

    signed = 1 << 24
    add("u32", KIND_INT, 4, 32)
    add("u64", KIND_INT, 8, 64)
    add("int", KIND_INT, 4, signed | 32)
    add("bpf_task_work", KIND_STRUCT, 8, name("opaque"), _WORD, 0, members=1)
    place = (name("unused"), _WORD, 0, name("work"), _WORK, 8 * WORK_OFFSET)
    add("awaited", KIND_STRUCT, PLACE_SIZE, *place, members=2)
    add("", KIND_FUNC_PROTO, _INT)
    add("main", KIND_FUNC, _PROTOTYPE)
    add("callback", KIND_FUNC, _PROTOTYPE)
    magic, version, header = 0xEB9F, 1, 24
    sizes = (header, 0, len(types), len(types), len(names))
    return struct.pack("=HBB5I", magic, version, 0, *sizes) + types + names
