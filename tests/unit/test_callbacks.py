"""Linking a program of two functions."""

import struct

from agent.streams.callbacks import CALL_SCHEDULE, Callbacks

INSTRUCTION = struct.Struct("=BBhi")
CALL, LOAD_64, EXIT = 0x85, 0x18, 0x95
HELPER = 35
PSEUDO_MAP, PSEUDO_FUNC = 1, 4


def code(*instructions: tuple[int, int, int]) -> bytes:
    """(operation, source register, number) each, to register 1."""
    return b"".join(INSTRUCTION.pack(op, source << 4 | 1, 0, n) for op, source, n in instructions)


def test_calls_and_addresses_lead_where_they_should() -> None:
    main = code(
        (CALL, 0, HELPER),
        (LOAD_64, PSEUDO_MAP, 7),
        (0, 0, 0),
        (LOAD_64, PSEUDO_FUNC, 0),
        (0, 0, 0),
        (CALL, 0, CALL_SCHEDULE),
        (EXIT, 0, 0),
    )
    callback = code((CALL, 0, HELPER), (EXIT, 0, 0))
    linked, functions = Callbacks(types_fd=3, awaited_fd=4, schedule_id=65_923).link(main, callback)
    rows = [INSTRUCTION.unpack_from(linked, at) for at in range(0, len(linked), 8)]
    numbers = [(op, registers >> 4, number) for op, registers, _, number in rows]
    assert numbers[0] == (CALL, 0, HELPER)
    assert numbers[1] == (LOAD_64, PSEUDO_MAP, 7)
    # counted from the instruction after it
    assert numbers[3] == (LOAD_64, PSEUDO_FUNC, 7 - 3 - 1)
    assert rows[5][1:] == (2 << 4, 0, 65_923)
    assert linked[len(main) :] == callback
    assert [at for at, _ in struct.iter_unpack("=II", functions)] == [0, 7]
