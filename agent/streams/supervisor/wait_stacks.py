"""Kernel stacks of waits, and the functions that wait. Privileged side, standard library only.

Addresses stay here: the agent has no use for them, and they must not be exposed.
"""

import bisect
import contextlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from agent.sections.offcpu.layout import STACK_DEPTH, WAIT_STACKS
from agent.streams.shared import bpf, kernel_files, refusals
from agent.streams.shared.causes import OF_A_LIMIT
from agent.streams.shared.support import Feature, Missing, Unknown

KALLSYMS = Path("/proc/kallsyms")
SYMBOL = re.compile(r"([0-9a-f]+) (\S) (\S+)")
"""A line of it: an address, a kind and a name (s_show() in kallsyms.c)."""
LONGEST_LINE = 4096
"""Bytes, several times those of the longest (KSYM_NAME_LEN)."""
FUNCTIONS = "tTwW"
"""The kinds of symbols (nm(1)) that are functions."""
FIRST_SYMBOLS = 10_000
"""Symbols among which there is a function: many times as many as there are per-CPU variables."""
STACK_SIZE = 8 * STACK_DEPTH

HIDDEN = (
    "the kernel hides its addresses from the agent (/proc/kallsyms): reading them needs "
    "CAP_SYSLOG and kernel.kptr_restrict below 2"
)
UNKNOWN = "unknown"

SCHEDULES = re.compile(
    r"_*schedule(_.*)?|schedule_.*|preempt_schedule.*|io_schedule_timeout|__cond_resched.*"
)
"""Functions that only say that a task waits. ``io_schedule`` is not one: it says for what."""
SWITCHES = "__schedule"
"""The function that calls the tracepoint: frames before it in a stack belong to the tracing."""
SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)\b.*")
"""The suffix of a copy that the compiler made of a function."""


class WaitStacks:
    """The map that stores the stacks. Raises CannotCollect if the kernel refuses it."""

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
            raise refusals.refused("creating maps", error) from error

    def take(self) -> dict[str, list[int]]:
        """Return the numbers of the stacks taken since the last call, by waiting function."""
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
    """Return the innermost function that is not the scheduler's; ``stack`` is innermost first."""
    if SWITCHES in stack:
        stack = stack[stack.index(SWITCHES) + 1 :]
    return next((name for name in stack if not SCHEDULES.fullmatch(name)), UNKNOWN)


COVERED = (
    "Something hides it from this process. systemd does so with ProtectKernelTunables=yes: set it "
    "to no."
)


def check_addresses(kallsyms: Path = KALLSYMS) -> None:
    """Check that the kernel shows its addresses. Raises Missing or Unknown.

    They read as 0 for a process that may not see them (kallsyms.c). That the first of them is 0
    does not say so: before 6.18 it is x86's, of a variable whose address is relative to each CPU's
    memory.
    """
    try:
        with _text_of(kallsyms) as file:
            lines = iter(partial(file.readline, LONGEST_LINE), "")
            first = next(lines, "")
            # one line at a time: ten thousand at once would stay in this process's memory
            shown = any(map(_has_address, islice(chain([first], lines), FIRST_SYMBOLS)))
    except PermissionError as error:
        # everybody may read it (kallsyms_init()), unless it is covered
        raise Missing(f"{kallsyms}: {error.strerror}. {COVERED}") from error
    except OSError as error:
        cause = kernel_files.unreadable(str(kallsyms), error)
        raise (Unknown if cause.code in OF_A_LIMIT else Missing)(cause.message) from error
    if not first:
        raise Missing(f"{kallsyms} is empty: something else is mounted over it")
    if not SYMBOL.match(first):
        raise Missing(f"{kallsyms} is not a symbol list: something else is mounted over it")
    if not shown:
        raise Missing(HIDDEN)


def _text_of(kallsyms: Path) -> TextIO:
    """Open the list, whatever it holds: what is no symbol in it must not cost a run."""
    return kallsyms.open(encoding="utf-8", errors="replace")


def _has_address(line: str) -> bool:
    """Whether a line shows where a function is."""
    symbol = SYMBOL.match(line)
    return symbol is not None and symbol[2] in FUNCTIONS and int(symbol[1], 16) != 0


KERNEL_ADDRESSES = Feature("kernel_addresses", check_addresses, "wait_functions")


def symbols(addresses: Iterable[int], kallsyms: Path = KALLSYMS) -> dict[int, str]:
    """Return the function that each address is in: one pass over 100,000 lines, 0.1 s."""
    wanted = sorted(addresses)
    if not wanted:
        return {}
    begins, names = [0] * len(wanted), [UNKNOWN] * len(wanted)
    with _text_of(kallsyms) as lines:
        for symbol in filter(None, map(SYMBOL.match, lines)):
            address, kind, name = symbol.groups()
            if kind not in FUNCTIONS:
                continue
            begin = int(address, 16)
            # note it only for the first address at or above it; the loop below passes it on
            position = bisect.bisect_left(wanted, begin)
            if position < len(wanted) and begins[position] < begin:
                begins[position], names[position] = begin, name
    for position in range(1, len(wanted)):
        if begins[position] < begins[position - 1]:
            begins[position], names[position] = begins[position - 1], names[position - 1]
    return {a: SUFFIX.sub("", name) for a, name in zip(wanted, names, strict=True)}
