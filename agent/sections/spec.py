"""How a section describes itself to the kernel side. Standard library only; Python 3.9."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Protocol

ITERATOR = "iter/task"
"""The hook of programs that are not attached but run over all tasks on request."""


SECOND = "/2"
"""At the end of the hook of a tracepoint's second program."""


class Sizes(Protocol):
    """What a table's size may depend on; see ``agent.streams.shared.layout.Geometry``."""

    @property
    def cpus(self) -> int: ...

    @property
    def slots(self) -> int: ...


@dataclass(frozen=True)
class Program:
    """One C function and the hook that it is attached to."""

    function: str
    hook: str
    when: tuple[tuple[str, int], ...] = ()
    """Attached only if the constants that select the code have these values (plan.py)."""
    optional: bool = False
    """Left out if the kernel has no such hook; the C files test HAVE_<HOOK>."""
    callback: str = ""
    """A function that the kernel calls back for it, if failed execs are counted that way."""

    @property
    def iterates(self) -> bool:
        return self.hook.startswith(ITERATOR)

    @property
    def tracepoint(self) -> str:
        """The tracepoint of a program that does not iterate."""
        return self.hook.removesuffix(SECOND)

    @property
    def is_second(self) -> bool:
        """Whether it only makes up for another one that the kernel skips (process.c)."""
        return self.hook.endswith(SECOND)

    @property
    def name(self) -> str:
        """The name shown by ``bpftool prog``: at most 15 characters, starting with ``cba_``."""
        short = self.hook.replace("/", "_")
        for prefix in ("sched_process_", "sched_", "block_", "task_"):
            short = short.removeprefix(prefix)
        return f"cba_{short}"[:15]


NUMBER, POINTER, BYTES, ELEMENTS, PLACE = "number", "pointer", "bytes", "elements", "place"
"""What the C files do with a field. A number is loaded at the width that the kernel gives it; a
pointer is followed; of bytes the first ``at_least`` are copied; of an array the size of an element
is needed; of a place only its offset."""


@dataclass(frozen=True)
class Field:
    """A constant that holds a field's offset in bytes; the first path that exists is used.

    For a number, ``<constant>_SIZE`` holds its width in bytes; for an array, that of an element.
    """

    constant: str
    paths: tuple[tuple[str, str], ...]
    optional: bool = False
    """The section works without the field; the constant is then not defined."""
    reads: str = NUMBER
    at_least: int = 4
    """Bytes that a number must have to hold what is looked for in it, or that are copied."""


@dataclass(frozen=True)
class Bit:
    """Constants for a field that is true or false, where the kernel has it: ``constant`` holds the
    offset of its byte, and ``<constant>_MASK`` the bits to look at."""

    constant: str
    struct: str
    field: str


@dataclass(frozen=True)
class Argument:
    """A constant that holds the position of a tracepoint's argument, found by its type.

    ``type_name`` is the struct it points to, or the integer's name; ``nth`` counts from 0
    among the arguments of that type.
    """

    constant: str
    tracepoint: str
    type_name: str
    nth: int = 0
    optional: bool = False


@dataclass(frozen=True)
class Distribution:
    """Latencies that the kernel side folds into bins while their stream's transport has no room."""

    name: str
    tables: int
    """How many tables of bins it has at most (a power of two); further CPUs share them, and each
    addition is then atomic. 112 KiB each."""


@dataclass(frozen=True)
class Flag:
    """A constant with one bit set, whose number is the value of an enumerator."""

    constant: str
    enumerator: str
    before: int
    """The bit's number on kernels that define it without an enum, which BTF does not describe."""


@dataclass(frozen=True)
class Stream:
    """Events of one kind, each of ``words`` 64-bit words (a power of two)."""

    name: str
    words: int
    folded: tuple[Distribution, ...] = ()
    """What remains of an event for which the transport has no room: a latency in each of these.
    Without any, such an event is lost, but the other streams leave it some room."""


@dataclass(frozen=True)
class Table:
    """A map of one large element that the programs write and the serving process reads."""

    name: str
    size: Callable[[Sizes], int]
    """Size in bytes, given the number of CPUs and of task slots."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Detail:
    """What a run may add to a section: on request, or where it is needed, because it costs more."""

    name: str
    switch: str
    """The constant that compiles it in."""
    programs: tuple[Program, ...] = ()
    """Attached only for this detail."""
    tables: tuple[Table, ...] = ()
    """Created when first requested; mapped only for the run."""
    streams: tuple[Stream, ...] = ()
    scoped_only: bool = False
    """Not available for whole-machine runs."""
    arguments: tuple[Argument, ...] = ()
    """Without those that are not optional, it cannot be measured; the same for the next two."""
    fields: tuple[Field, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    helpers: tuple[str, ...] = ()
    by_default: bool = False
    """Part of every run that can have it, unless the request has its name with ``false``."""
    is_needed: Callable[[], bool] = _never
    """Whether this machine now has what only the detail measures: then every run includes it."""


def _no_counts() -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Probe:
    """One section, as far as the kernel side is concerned."""

    name: str
    switch: str
    """The constant that compiles it in."""
    programs: tuple[Program, ...]
    """The programs it needs; sections may share them."""
    sources: tuple[str, ...] = ()
    """Its own C files, below ``agent/sections``."""
    fields: tuple[Field, ...] = ()
    bits: tuple[Bit, ...] = ()
    arguments: tuple[Argument, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    """Constants of optional fields and arguments of which kernels have one or another."""
    flags: tuple[Flag, ...] = ()
    streams: tuple[Stream, ...] = ()
    tables: tuple[Table, ...] = ()
    constants: Mapping[str, int] = field(default_factory=dict)
    """Numbers that its C files and its Python files agree on."""
    details: tuple[Detail, ...] = ()
    on_request: bool = False
    """Measured only by runs that ask for it by name."""
    kernel_counts: Callable[[], dict[str, int]] = _no_counts
    """The kernel's own counts of what the section counts, since boot, by name. Read at both edges
    of a run: by the supervisor before the section begins to count and after it has ceased, by the
    agent in between."""
    counts_at_once: bool = False
    """Whether its programs begin and cease to count at the supervisor's word (``counted_from_ns``
    of layout.h), rather than as each of them is attached and detached."""
