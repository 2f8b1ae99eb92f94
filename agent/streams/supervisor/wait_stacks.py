"""Kernel stacks of waits, and the functions that they name. Privileged side, standard library.

Addresses stay here: the agent could do nothing with them, and they are nobody's business.
"""

import bisect
import contextlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.sections.offcpu.layout import STACK_DEPTH, WAIT_STACKS
from agent.streams.shared import bpf, causes

KALLSYMS = Path("/proc/kallsyms")
STACK_SIZE = 8 * STACK_DEPTH

HIDDEN = (
    "the kernel hides its addresses from the agent (/proc/kallsyms): it needs CAP_SYSLOG and "
    "kernel.kptr_restrict below 2"
)
UNKNOWN = "unknown"

SCHEDULES = re.compile(
    r"_*schedule(_.*)?|schedule_.*|preempt_schedule.*|io_schedule_timeout|__cond_resched.*"
)
"""Functions that say no more than that a task waits. Of these, ``io_schedule`` says for what."""
SWITCHES = "__schedule"
"""Calls the tracepoint: what comes before it in a stack is the tracing itself."""
SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)\b.*")
"""Of copies that the compiler makes of a function."""


class WaitStacks:
    """The map that stacks are taken to. Raises CannotCollect where the kernel refuses it."""

    def __init__(self) -> None:
        try:
            self.fd = bpf.create_map(
                "cba_stacks",
                bpf.MAP_TYPE_STACK_TRACE,
                key=4,
                value=STACK_SIZE,
                entries=WAIT_STACKS,
            )
        except OSError as error:
            raise causes.refused("creating maps", error) from error

    def take(self) -> dict[str, list[int]]:
        """Numbers of the stacks taken since the last time, by the function that waits."""
        stacks = dict(self._taken())
        names: dict[int, str] = {}
        with contextlib.suppress(OSError):
            names = symbols({address for stack in stacks.values() for address in stack})
        functions: dict[str, list[int]] = {}
        for number, stack in stacks.items():
            name = wait_function([names.get(address, UNKNOWN) for address in stack])
            functions.setdefault(name, []).append(number)
        return functions

    def close(self) -> None:
        os.close(self.fd)

    def _taken(self) -> Iterator[tuple[int, list[int]]]:
        for number in range(WAIT_STACKS):
            value = bpf.take_element(self.fd, number, STACK_SIZE)
            if value is not None:
                yield number, [a for a in struct.unpack(f"={STACK_DEPTH}Q", value) if a]


def wait_function(stack: list[str]) -> str:
    """The first function of a stack, innermost first, that is not the scheduler's."""
    if SWITCHES in stack:
        stack = stack[stack.index(SWITCHES) + 1 :]
    return next((name for name in stack if not SCHEDULES.fullmatch(name)), UNKNOWN)


def addresses_are_hidden(kallsyms: Path = KALLSYMS) -> bool:
    """Whether all addresses read 0, as they do for whoever may not see them (kallsyms.c)."""
    try:
        with kallsyms.open() as lines:
            return int(next(lines, "0").split()[0], 16) == 0
    except OSError:
        return True


def symbols(addresses: Iterable[int], kallsyms: Path = KALLSYMS) -> dict[int, str]:
    """The function that each address is in. One pass over a hundred thousand lines, 0.1 s."""
    wanted = sorted(addresses)
    if not wanted:
        return {}
    begins, names = [0] * len(wanted), [UNKNOWN] * len(wanted)
    with kallsyms.open() as lines:
        for line in lines:
            address, kind, name = line.split(maxsplit=3)[:3]
            if kind not in "tTwW":
                continue
            begin = int(address, 16)
            # what begins between two of them is the nearest for the second alone, so far
            position = bisect.bisect_left(wanted, begin)
            if position < len(wanted) and begins[position] < begin:
                begins[position], names[position] = begin, name
    for position in range(1, len(wanted)):
        if begins[position] < begins[position - 1]:
            begins[position], names[position] = begins[position - 1], names[position - 1]
    return {a: SUFFIX.sub("", name) for a, name in zip(wanted, names, strict=True)}
