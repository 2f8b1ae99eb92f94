"""Moving rare cases to the end of a program: what it does stays the same."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from agent.streams.compiler.rare import MARK, OPPOSITE, Instruction, rare_last

INSTRUCTION = struct.Struct("=BBhi")
ADD, MOVE, GOTO, CALL, EXIT, LOAD_64 = 0x07, 0xB7, 0x05, 0x85, 0x95, 0x18
EXITS = Instruction(EXIT, 0, 0, 0)
EQUAL, NOT_EQUAL, ANY_BIT, LONG_GOTO, CALL_OF_OURS = 0x15, 0x55, 0x45, 0x06, 0x10
HOLDS = {
    0x10: lambda a, b: a == b,
    0x50: lambda a, b: a != b,
    0x20: lambda a, b: a > b,
    0xB0: lambda a, b: a <= b,
    0x30: lambda a, b: a >= b,
    0xA0: lambda a, b: a < b,
    0x40: lambda a, b: a & b != 0,
}
"""The conditions of jumps; the registers here are never negative."""


def encoded(*instructions: Instruction) -> bytes:
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in instructions)


def decoded(code: bytes) -> list[Instruction]:
    return [Instruction(*fields) for fields in INSTRUCTION.iter_unpack(code)]


def add(register: int, number: int) -> Instruction:
    return Instruction(ADD, register, 0, number)


def goto(offset: int) -> Instruction:
    return Instruction(GOTO, 0, offset, 0)


def jump(operation: int, register: int, number: int, offset: int) -> Instruction:
    return Instruction(operation, register, offset, number)


def executed(code: bytes, registers: list[int]) -> tuple[list[int], list[Instruction]]:
    """Run a program; return the registers and what it did, apart from its jumps."""
    instructions, registers, did, at = decoded(code), list(registers), [], 0
    while instructions[at].operation != EXIT:
        found = instructions[at]
        at += 1
        if found.operation == ADD:
            registers[found.registers] += found.number
            did.append(found)
        elif found.operation == LOAD_64:
            registers[found.registers & 15] = found.number | instructions[at].number << 32
            did += [found, instructions[at]]
            at += 1
        elif found.operation == GOTO or HOLDS[found.operation & 0xF0](
            registers[found.registers], found.number
        ):
            at += found.offset
    return registers, did


NUMBERS = st.integers(min_value=0, max_value=3)
PIECES = st.one_of(
    st.just([MARK]),
    st.just([EXITS]),
    st.builds(lambda register, number: [add(register, number)], NUMBERS, NUMBERS),
    st.builds(
        lambda register, low, high: [
            Instruction(LOAD_64, register, 0, low),
            Instruction(0, 0, 0, high),
        ],
        *[NUMBERS] * 3,
    ),
    *[
        st.builds(
            lambda condition, register, number: [jump(condition | 5, register, number, 0)],
            st.sampled_from([0, *HOLDS]),
            NUMBERS,
            NUMBERS,
        )
    ]
    * 3,
)
"""Instructions that stand together; the offsets of jumps are still open."""


@st.composite
def programs(draw: st.DrawFn) -> bytes:
    """Draw a program whose jumps go forward, some of them over cases that are marked as rare."""
    pieces = [*draw(st.lists(PIECES, min_size=1, max_size=40)), [EXITS]]
    starts = [sum(map(len, pieces[:number])) for number in range(len(pieces))]
    for number, (first, *_) in enumerate(pieces[:-1]):
        if first.operation & 7 == 5 and first not in (MARK, EXITS):
            targets = [start for start in starts if start > starts[number] + 1]
            offset = draw(st.sampled_from(targets)) - starts[number] - 1 if targets else 0
            pieces[number] = [first._replace(offset=offset) if offset else add(0, 1)]
    return encoded(*(instruction for piece in pieces for instruction in piece))


@given(programs(), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_program_does_the_same(program: bytes, registers: list[int]) -> None:
    moved = rare_last(program)
    assert executed(moved, registers) == executed(program, registers)
    assert executed(rare_last(moved), registers) == executed(program, registers)


@st.composite
def tangles(draw: st.DrawFn) -> bytes:
    """Draw a program that hardly does anything but jump, in any direction."""
    kinds = st.sampled_from([MARK, jump(EQUAL, 1, 0, 0), add(0, 1)])
    pieces = [*draw(st.lists(kinds, min_size=4, max_size=12)), EXITS]
    targets = st.integers(0, len(pieces) - 1)
    return encoded(
        *(
            found._replace(offset=draw(targets) - number - 1)
            if found.operation & 7 == 5 and draw(st.booleans())
            else found
            for number, found in enumerate(pieces[:-1])
        ),
        EXITS,
    )


@given(tangles())
def test_no_mark_stays(program: bytes) -> None:
    assert MARK not in decoded(rare_last(program))


def test_a_jump_over_nothing_but_marks_is_none() -> None:
    """One case leads over an empty one, and both go on at the same place."""
    program = encoded(jump(EQUAL, 1, 0, 2), add(0, 1), goto(1), MARK, EXITS)
    assert decoded(rare_last(program)) == [jump(EQUAL, 1, 0, 1), add(0, 1), EXITS]


def test_a_loop_of_nothing_but_jumps_stays_one() -> None:
    program = encoded(jump(EQUAL, 1, 0, 2), EXITS, goto(1), MARK, goto(-3))
    assert decoded(rare_last(program)) == [jump(EQUAL, 1, 0, 1), EXITS, goto(-1)]


def test_a_rare_case_is_moved_behind_the_end_and_goes_on_where_it_did() -> None:
    program = encoded(
        add(0, 1),
        jump(EQUAL, 1, 0, 2),  # usually
        MARK,
        add(0, 100),
        add(0, 10),
        EXITS,
    )
    assert decoded(rare_last(program)) == [
        add(0, 1),
        jump(NOT_EQUAL, 1, 0, 2),
        add(0, 10),
        EXITS,
        add(0, 100),
        goto(-4),
    ]


def test_a_condition_without_an_opposite_gets_a_jump_of_its_own() -> None:
    program = encoded(jump(ANY_BIT, 1, 2, 2), MARK, add(0, 100), add(0, 10), EXITS)
    assert decoded(rare_last(program)) == [
        jump(ANY_BIT, 1, 2, 1),
        goto(2),
        add(0, 10),
        EXITS,
        add(0, 100),
        goto(-4),
    ]


def test_what_only_leads_to_a_rare_case_or_comes_from_one_is_rare_too() -> None:
    program = encoded(
        jump(EQUAL, 1, 0, 5),
        add(0, 1),  # leads to nothing else
        MARK,
        jump(EQUAL, 2, 0, 1),
        add(0, 2),
        add(0, 3),  # comes from nothing else
        add(0, 4),
        EXITS,
    )
    often = decoded(rare_last(program))[:3]
    assert often == [jump(NOT_EQUAL, 1, 0, 2), add(0, 4), EXITS]


def test_what_bcc_does_not_write_is_left_alone() -> None:
    for other in (
        Instruction(LONG_GOTO, 0, 0, 1),
        Instruction(CALL, CALL_OF_OURS, 0, 1),
    ):
        program = encoded(other, jump(EQUAL, 1, 0, 1), MARK, add(0, 1), EXITS)
        assert rare_last(program) == program


def test_a_jump_is_turned_into_its_opposite_and_back() -> None:
    assert {OPPOSITE[OPPOSITE[condition]] for condition in OPPOSITE} == set(OPPOSITE)
    for condition, opposite in OPPOSITE.items():
        if condition in HOLDS:
            for a in range(3):
                assert HOLDS[condition](a, 1) != HOLDS[opposite](a, 1)
