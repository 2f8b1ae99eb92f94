"""Filling in what bcc leaves open in a program; finding the distance to the saved registers."""

import os
import struct
from typing import Any

import pytest

from agent.streams.compiler.callbacks import Callbacks
from agent.streams.compiler.linking import (
    MARK_CAST,
    MARK_REGISTERS,
    MARK_SCHEDULE,
    link,
    without_fds,
)
from agent.streams.compiler.newer_kernels import Newer
from agent.streams.shared import bpf

INSTRUCTION = struct.Struct("=BBhi")
CALL, LOAD_64, MOVE, EXIT = 0x85, 0x18, 0xB7, 0x95
HELPER, PSEUDO_MAP, PSEUDO_VALUE, PSEUDO_KFUNC, PSEUDO_FUNC = 35, 1, 2, 2, 4


def code(*instructions: tuple[int, int, int]) -> bytes:
    """Encode instructions, each given as (operation, source register, number)."""
    return b"".join(INSTRUCTION.pack(op, source << 4, 0, n) for op, source, n in instructions)


def test_marked_calls_numbers_and_addresses_are_replaced() -> None:
    main = code(
        (CALL, 0, HELPER),
        (LOAD_64, PSEUDO_MAP, 7),
        (0, 0, 0),
        (LOAD_64, PSEUDO_FUNC, 0),
        (0, 0, 0),
        (CALL, 0, MARK_SCHEDULE),
        (MOVE, 0, MARK_REGISTERS),
        (MOVE, 0, 5),
        (EXIT, 0, 0),
    )
    callback = code((CALL, 0, HELPER), (EXIT, 0, 0))
    linked = link(main, {MARK_SCHEDULE: 65_923, MARK_REGISTERS: 16_216}, callback)
    expected = code(
        (CALL, 0, HELPER),
        (LOAD_64, PSEUDO_MAP, 7),
        (0, 0, 0),
        # from the instruction after this one to the end
        (LOAD_64, PSEUDO_FUNC, 9 - 3 - 1),
        (0, 0, 0),
        (CALL, PSEUDO_KFUNC, 65_923),
        (MOVE, 0, 16_216),
        (MOVE, 0, 5),
        (EXIT, 0, 0),
    )
    assert linked == expected + callback


def test_the_instructions_do_not_depend_on_the_fds_of_the_maps() -> None:
    marked, fds = without_fds({"N": 5, "SLOTS_FD": 9, "EVENTS_FD": 12})
    assert marked == without_fds({"N": 5, "SLOTS_FD": 33, "EVENTS_FD": 5})[0]
    slots, events = marked["SLOTS_FD"], marked["EVENTS_FD"]
    main = code((LOAD_64, PSEUDO_MAP, slots), (0, 0, 0), (LOAD_64, PSEUDO_VALUE, events), (0, 0, 0))
    # a number that only looks like one
    other = code((LOAD_64, 0, slots), (0, 0, 0), (MOVE, 0, 12), (EXIT, 0, 0))
    expected = code((LOAD_64, PSEUDO_MAP, 9), (0, 0, 0), (LOAD_64, PSEUDO_VALUE, 12), (0, 0, 0))
    assert link(main + other, fds) == expected + other


def test_a_program_without_marks_stays_as_it_is() -> None:
    main = code((CALL, 0, HELPER), (LOAD_64, PSEUDO_MAP, 7), (0, 0, 0), (EXIT, 0, 0))
    assert link(main, {MARK_CAST: 1}) == main


def test_the_functions_of_a_program_begin_where_they_were_put() -> None:
    functions = Callbacks(types_fd=3, awaited_fd=4, schedule_id=5).functions(code((EXIT, 0, 0)) * 7)
    assert [at for at, _ in struct.iter_unpack("=II", functions)] == [0, 7]


def distance(monkeypatch: pytest.MonkeyPatch, *tasks: tuple[int, int]) -> int:
    """Return the distance found for tasks with these (bottom of the stack, saved registers)."""
    written = b"".join(struct.pack("=QQ", *task) for task in tasks)
    types: Any = type("Types", (), {"type_id": lambda *_: 1})()
    functions = {"on_iter_registers": code((EXIT, 0, 0))}
    monkeypatch.setattr(bpf, "load_tracing", lambda *_: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(bpf, "run_iterator", lambda fd: written)
    return Newer(cast_id=8, registers_type=9).marks(types, functions)[MARK_REGISTERS]


def test_the_registers_are_at_one_distance_in_every_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = [0xFFFF_C900_0000_0000 + n * 0x8000 for n in range(3)]
    ended = (0, 16_216)
    assert distance(monkeypatch, *((s, s + 16_216) for s in stacks), ended) == 16_216


def test_a_distance_that_is_not_certain_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="2 distances"):
        distance(monkeypatch, (4096, 4096 + 16_216), (8192, 8192 + 16_200))
    with pytest.raises(OSError, match="0 distances"):
        distance(monkeypatch)


def test_an_older_kernel_has_nothing_of_it() -> None:
    constants = Newer().constants()
    assert constants["DIRECT_REGISTERS"] == constants["WITH_EXEC_RETURNS"] == 0
