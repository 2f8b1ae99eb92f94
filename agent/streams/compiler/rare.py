"""Move what rarely runs to the end of a program, so that what runs at each event stands together.

A switch or a wakeup runs a fifth of its program's instructions. LLVM leaves them in the order of
the source, scattered over all of it, and a processor loads code in lines of 64 bytes, which push
others out of its cache. The C files say which cases are rare (`rarely()` in kernel.h), by an
instruction that does nothing. Standard library only.
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional

from agent.streams.compiler.linking import INSTRUCTION, OP_CALL, OP_LOAD_64

# Documentation/bpf/standardization/instruction-set.rst
OP_EXIT, OP_GOTO, OP_LONG_GOTO = 0x95, 0x05, 0x06
CLASS, CLASS_JUMP, CLASS_JUMP_32 = 0x07, 0x05, 0x06
PSEUDO_CALL = 1
OPPOSITES = ((0x10, 0x50), (0x20, 0xB0), (0x30, 0xA0), (0x60, 0xD0), (0x70, 0xC0))
"""Pairs of conditions of which always one holds: JEQ and JNE, JGT and JLE, JGE and JLT, signed."""
OPPOSITE = dict(OPPOSITES) | {second: first for first, second in OPPOSITES}


class Instruction(NamedTuple):
    operation: int
    registers: int
    offset: int
    number: int


MARK = Instruction(OP_GOTO, 0, 0, 0)
"""``goto +0``, at the beginning of a rare case."""


class Block(NamedTuple):
    """Instructions that run one after another, and where they lead.

    ``jump`` is the last instruction if that is a conditional jump, and ``target`` where to.
    ``following`` runs otherwise. Both are the numbers of blocks' first instructions.
    """

    body: tuple[Instruction, ...]
    rare: bool
    jump: Optional[Instruction]
    target: Optional[int]
    following: Optional[int]

    def successors(self) -> list[int]:
        return [start for start in (self.target, self.following) if start is not None]


def rare_last(code: bytes) -> bytes:
    """Return an equivalent program, with rare cases at its end.

    No mark stays, nor a goto to the next instruction, which would be one.
    A program with jumps that compilers for the first BPF processor do not write stays as it is.
    """
    instructions = [Instruction(*fields) for fields in INSTRUCTION.iter_unpack(code)]
    if any(_is_unknown(instruction) for instruction in instructions):
        return code
    blocks = _blocks(instructions)
    often = _often(blocks)
    rest = [start for start in blocks if start not in often]
    return _joined(*_without_empty(blocks, [*often, *rest]))


def _is_unknown(instruction: Instruction) -> bool:
    calls_ours = instruction.operation == OP_CALL and instruction.registers >> 4 == PSEUDO_CALL
    return calls_ours or instruction.operation == OP_LONG_GOTO


def _blocks(instructions: Sequence[Instruction]) -> dict[int, Block]:
    """Return the blocks by the number of their first instruction, in the order of the code."""
    second = {n + 1 for n, found in enumerate(instructions) if found.operation == OP_LOAD_64}
    jumps = {
        number: number + 1 + found.offset
        for number, found in enumerate(instructions)
        if number not in second and found != MARK and _is_jump(found)
    }
    ends = {n for n, found in enumerate(instructions) if found.operation == OP_EXIT} - second
    starts = {0, *jumps.values(), *(n + 1 for n in (*jumps, *ends))} - {len(instructions)}
    ordered = sorted(starts)
    return {
        start: _block(instructions[start:end], jumps.get(end - 1), end)
        for start, end in zip(ordered, [*ordered[1:], len(instructions)])
    }


def _is_jump(instruction: Instruction) -> bool:
    operation = instruction.operation
    return operation & CLASS in (CLASS_JUMP, CLASS_JUMP_32) and operation not in (OP_CALL, OP_EXIT)


def _block(content: Sequence[Instruction], target: Optional[int], end: int) -> Block:
    rare = MARK in content
    body = tuple(found for found in content if found != MARK)
    if target is None:
        leaves = bool(body) and body[-1].operation == OP_EXIT
        return Block(body, rare, None, None, None if leaves else end)
    *before, jump = body
    if jump.operation == OP_GOTO:
        return Block(tuple(before), rare, None, None, target)
    return Block(tuple(before), rare, jump, target, end)


def _rare(blocks: dict[int, Block]) -> set[int]:
    """Return the blocks that are marked, and those that lead to nothing else."""
    rare: set[int] = set()
    more = {start for start, block in blocks.items() if block.rare}
    while more:
        rare |= more
        more = {
            start
            for start, block in blocks.items()
            if start not in rare and block.successors() and rare.issuperset(block.successors())
        }
    return rare


def _often(blocks: dict[int, Block]) -> list[int]:
    """Return the blocks that can be reached without a rare one, each after those that lead to it.

    That is the reverse of the order in which a depth-first search leaves them. The search takes
    jumps first, so that what follows a block comes right after it.
    """
    rare = _rare(blocks)
    left: list[int] = []
    seen = {0}
    path = [(0, iter(blocks[0].successors()))]
    while path:
        start, successors = path[-1]
        found = next((s for s in successors if s not in seen and s not in rare), None)
        if found is None:
            left.append(start)
            path.pop()
        else:
            seen.add(found)
            path.append((found, iter(blocks[found].successors())))
    return left[::-1]


def _without_empty(
    blocks: dict[int, Block], order: Sequence[int]
) -> tuple[dict[int, Block], list[int]]:
    """Return the blocks with what leads to an empty one leading on, and the order without those.

    Otherwise a jump over nothing but empty blocks would be one to the next instruction. The first
    block stays first: the program begins there.
    """
    onward = {start: _onward(blocks, start) for start in blocks}
    direct = {
        start: block._replace(
            target=None if block.target is None else onward[block.target],
            following=None if block.following is None else onward[block.following],
        )
        for start, block in blocks.items()
    }
    return direct, [start for start in order if start == order[0] or onward[start] == start]


def _onward(blocks: dict[int, Block], start: int) -> int:
    """Return the first block from here on that is not empty; the same one of an endless loop."""
    passed: list[int] = []
    block = blocks[start]
    while not block.body and block.jump is None and block.following is not None:
        passed.append(start)
        start = block.following
        if start in passed:
            return min(passed[passed.index(start) :])
        block = blocks[start]
    return start


def _joined(blocks: dict[int, Block], order: Sequence[int]) -> bytes:
    """Return the code of the blocks in this order, with the jumps between them."""
    written: list[tuple[Instruction, Optional[int]]] = []
    places: dict[int, int] = {}
    for start, after in zip(order, [*order[1:], None]):
        block = blocks[start]
        places[start] = len(written)
        written += [(instruction, None) for instruction in block.body]
        written += _jumps(block, after)
    return b"".join(
        INSTRUCTION.pack(
            *(found if target is None else found._replace(offset=places[target] - number - 1))
        )
        for number, (found, target) in enumerate(written)
    )


def _jumps(block: Block, after: Optional[int]) -> list[tuple[Instruction, Optional[int]]]:
    """Return the jumps that end a block, with their targets, if ``after`` comes after it."""
    jump, target, following = block.jump, block.target, block.following
    if jump is not None and target == after:
        opposite = OPPOSITE.get(jump.operation & 0xF0)
        if opposite is not None:
            turned = jump._replace(operation=opposite | jump.operation & 0x0F)
            jump, target, following = turned, following, target
    ends = [] if jump is None else [(jump, target)]
    if following is not None and following != after:
        ends.append((MARK, following))
    return ends
