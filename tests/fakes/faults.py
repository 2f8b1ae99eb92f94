"""Faults of the agent, by name, for the processes of a copied package (copied_package.py).

A fault replaces an object of the package by its name and raises an error if no such name exists. It
is injected into the process that becomes supervisor and agent, before it forks, or into the
compiler. The faults of the C programs are in faults.h. The compiler's interpreter runs this file
too. It must therefore work with Python 3.9 and the standard library alone, and import parts of the
package only when they are needed.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
LIST = HERE / "faults.json"
COMPILER = HERE / "faulty_compiler.py"

Fault = TypeVar("Fault", bound=Callable[..., None])
OF_AGENT: dict[str, Callable[..., None]] = {}
OF_COMPILER: dict[str, Callable[..., None]] = {}


def in_agent(fault: Fault) -> Fault:
    OF_AGENT[fault.__name__] = fault
    return fault


def in_compiler(fault: Fault) -> Fault:
    OF_COMPILER[fault.__name__] = fault
    return fault


def break_agent() -> None:
    """Inject the listed faults into this process, which becomes supervisor and agent."""
    attribute("agent.streams.supervisor.compilation", "COMPILER", COMPILER)
    _break(OF_AGENT)


def break_compiler() -> None:
    _break(OF_COMPILER)


def _break(faults: dict[str, Callable[..., None]]) -> None:
    for name, arguments in json.loads(LIST.read_text()):
        assert name in OF_AGENT or name in OF_COMPILER, f"no such fault: {name}"
        if name in faults:
            faults[name](*arguments)


def module(name: str) -> Any:
    return importlib.import_module(f"agent.streams.{name}")


def replace(owner: Any, name: str, value: Any) -> Any:
    """Replace an attribute and return its old value. Raise AttributeError if it does not exist."""
    intact = getattr(owner, name)
    setattr(owner, name, value)
    return intact


# --- faults of the supervisor and the agent


@in_agent
def attribute(owner: str, name: str, value: Any) -> None:
    """Give a module's constant another value, for code that looks it up in that module."""
    replace(importlib.import_module(owner), name, value)


@in_agent
def tries_refused_calls() -> None:
    """Log, once the agent serves, which error each call gives that its filter refuses."""
    serving = importlib.import_module("agent.processes.serving")
    seccomp = importlib.import_module("agent.processes.seccomp")
    libc = ctypes.CDLL(None, use_errno=True)

    def tried(number: int) -> str:
        libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 5)
        return errno.errorcode[ctypes.get_errno()]

    def announce(*arguments: Any) -> None:
        numbers = seccomp.refused_numbers(os.uname().machine)
        print("tried:", *map(tried, numbers), flush=True)  # noqa: T201
        intact(*arguments)

    intact = replace(serving, "_announce", announce)


@in_agent
def small_ring(ring_bytes: int) -> None:
    supervisor = module("supervisor.supervisor")
    intact = supervisor.this_machine
    replace(supervisor, "this_machine", lambda: changed(intact(), ring_bytes=ring_bytes))


@in_agent
def small_perf_buffers(size: int) -> None:
    """Give each CPU a perf buffer of this size."""
    replace(module("drain.transport"), "LARGEST_BUFFER", size)


@in_agent
def shared_fold_tables() -> None:
    """Have all CPUs fold run-queue waits into one table, as CPUs beyond the eighth do."""
    layout = module("shared.layout")
    streams = tuple(
        changed(s, folded=tuple(changed(d, tables=1) for d in s.folded)) for s in layout.STREAMS
    )
    replace(layout, "STREAMS", streams)
    distributions = tuple((s.name, distribution) for s in streams for distribution in s.folded)
    replace(layout, "DISTRIBUTIONS", distributions)


@in_agent
def folded_apart() -> None:
    """Report folded run-queue waits apart from those that were streamed, not with them."""
    evidence = importlib.import_module("agent.sections.runqlat.evidence")
    histogram = importlib.import_module("agent.aggregate.histogram")
    fold = evidence.RunqlatFold

    def take_folded(self: Any, stream: str, growths: Any) -> None:
        self.folded = getattr(self, "folded", None) or histogram.LatencyHistogram()
        evidence.add_growth(self.folded, growths[0])

    def reported(self: Any, *arguments: Any) -> Any:
        return intact(self, *arguments) | {"folded": evidence.latency(self.folded)}

    replace(fold, "take_folded", take_folded)
    intact = replace(fold, "evidence", reported)


@in_agent
def requests_in_flight(places: int) -> None:
    """Limit the table of block requests in flight to this many entries."""
    probe = importlib.import_module("agent.sections.biolatency.probe")
    replace(probe, "MAX_REQUESTS", places)
    probe.CONSTANTS["MAX_REQUESTS"] = places


@in_agent
def attaches_slowly(seconds: float) -> None:
    """Wait before each program is attached."""
    bpf = module("shared.bpf")

    def attach(fd: int) -> Any:
        time.sleep(seconds)
        return intact(fd)

    intact = replace(bpf, "attach_raw_tracepoint", attach)


@in_agent
def detaches_late(seconds: float) -> None:
    """Wait between the summary of the living tasks and the detaching of the programs."""

    def detach(self: Any) -> None:
        time.sleep(seconds)
        intact(self)

    intact = replace(module("supervisor.armed").Armed, "detach", detach)


@in_agent
def lets_go_on_sigusr1() -> None:
    """Have the supervisor silently detach everything on SIGUSR1."""
    supervisor = module("supervisor.supervisor").Supervisor

    def serve(self: Any) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: self._armed.detach())
        intact(self)

    intact = replace(supervisor, "serve", serve)


@in_agent
def root_ends_early() -> None:
    """Kill the root process of a scope after it was found and before anything is attached."""
    scopes = module("supervisor.scopes")

    def root_of(*asked: Any) -> Any:
        root = intact(*asked)
        os.kill(root.local_tgid, signal.SIGTERM)
        time.sleep(0.2)
        return root

    intact = replace(scopes, "root_of", root_of)


@in_agent
def attaching_is_refused(hook: str) -> None:
    """Have the kernel refuse to attach the program of this hook. May be injected several times."""
    armed, bpf = module("supervisor.armed").Armed, module("shared.bpf")
    intact = armed.attach

    def attach(self: Any, measure_probes: bool) -> None:
        refused = {fd for _, found, fd in self._attachable() if found == hook}

        def attach_raw_tracepoint(fd: int) -> Any:
            if fd in refused:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            return attach_one(fd)

        attach_one = replace(bpf, "attach_raw_tracepoint", attach_raw_tracepoint)
        try:
            intact(self, measure_probes)
        finally:
            replace(bpf, "attach_raw_tracepoint", attach_one)

    replace(armed, "attach", attach)


@in_agent
def iterators_visit_every_task() -> None:
    """Have the kernel ignore which task an iterator is to visit, as it does before 6.1."""
    bpf = module("shared.bpf")
    intact = bpf.run_iterator
    replace(bpf, "run_iterator", lambda fd, tid=0: intact(fd))


@in_agent
def iterators_hide(pid: int) -> None:
    """Have the kernel's iterators leave out one task, as a sandbox's kernel does with its init."""
    bpf = module("shared.bpf")
    intact = bpf.run_iterator
    replace(bpf, "run_iterator", lambda fd, tid=0: b"" if tid == pid else intact(fd, tid))


@in_agent
def suspended_for_bytes_of(path: str) -> None:
    """Make the machine appear to have been suspended for one second per byte of a file."""
    observer = module("collect.observer").Observer

    def edge(self: Any) -> Any:
        found = intact(self)
        asleep_ns = 10**9 * os.stat(path).st_size
        return changed(found, suspended_ns=found.suspended_ns + asleep_ns)

    intact = replace(observer, "edge", edge)


# --- faults of the compiler


@in_compiler
def in_c(name: str) -> None:
    """Enable a fault of faults.h."""
    compiler, specs = module("compiler.compiler"), module("shared.specs")
    constant = f"TEST_FAULT_{name}"
    assert f"#ifdef {constant}\n" in (compiler.PROBES / "faults.h").read_text()
    header = "streams/probes/faults.h"
    if header not in specs.SOURCES:
        replace(specs, "SOURCES", (header, *specs.SOURCES))

    def compile_source(constants: dict[str, int], sections: tuple[str, ...]) -> Any:
        return intact({**constants, constant: 1}, sections)

    intact = replace(compiler, "compile_source", compile_source)


def _change_programs(chosen: Callable[[Any], bool], **changes: str) -> None:
    specs = module("shared.specs")
    assert any(map(chosen, specs.PROGRAMS)), "no such program"

    def programs_for(*arguments: Any) -> Any:
        programs = intact(*arguments)
        return tuple(changed(p, **changes) if chosen(p) else p for p in programs)

    intact = replace(specs, "programs_for", programs_for)


@in_compiler
def runs_instead(function: str, other: str) -> None:
    """Attach another function of the C files wherever this program would be attached."""
    _change_programs(lambda program: program.function == function, function=other)


@in_compiler
def attached_elsewhere(hook: str, other: str) -> None:
    _change_programs(lambda program: program.hook == hook, hook=other)


@in_compiler
def kernel_lacks(*beginnings: str) -> None:
    """Hide the kernel's types (``NAME``), fields (``STRUCT.FIELD``) and helpers (``BPF_FUNC_NAME``)
    with these prefixes."""
    types = module("compiler.btf").KernelTypes
    unasked = set(beginnings)

    def lacks(name: str) -> bool:
        found = {beginning for beginning in beginnings if name.startswith(beginning)}
        unasked.difference_update(found)
        return bool(found)

    def type_id(self: Any, name: str, kind: int) -> int | None:
        return None if lacks(name) else intact_type(self, name, kind)

    def place_of(self: Any, name: str, field: str) -> Any:
        return None if lacks(f"{name}.{field}") else intact_place(self, name, field)

    def has_enumerator(self: Any, enum: str, name: str) -> bool:
        return not lacks(name) and intact_enumerator(self, enum, name)

    intact_type = replace(types, "type_id", type_id)
    intact_place = replace(types, "place_of", place_of)
    intact_enumerator = replace(types, "has_enumerator", has_enumerator)

    def asked(*answered: Any) -> None:
        assert not unasked, f"nothing asks the kernel for {unasked}"

    _after_answering(asked)


def _after_answering(then: Callable[[Any], None]) -> None:
    compiler = module("compiler.compiler")

    def answer(request: Any) -> Any:
        message, fds = intact(request)
        then(message)
        return message, fds

    intact = replace(compiler, "answer", answer)


def _with_fewer_programs_than(count: int, then: Callable[[], object]) -> None:
    """Do something once the programs have been loaded, if they are fewer than ``count``."""

    def check(message: Any) -> None:
        if len(message.programs) < count:
            then()

    _after_answering(check)


@in_compiler
def hangs_with_fewer_programs_than(count: int) -> None:
    _with_fewer_programs_than(count, lambda: time.sleep(600))


@in_compiler
def crashes_with_fewer_programs_than(count: int) -> None:
    """Have the compiler read the address 0."""
    _with_fewer_programs_than(count, lambda: ctypes.string_at(0))


@in_compiler
def wrong_kernel_function(mark: str) -> None:
    """Resolve a mark in the code to the wrong type of the kernel instead of the function."""
    number = getattr(module("compiler.linking"), mark)
    newer = module("compiler.newer_kernels").Newer

    def marks(self: Any, types: Any, functions: Any) -> dict[int, int]:
        found = intact(self, types, functions)
        return {**found, number: 1} if number in found else found

    intact = replace(newer, "marks", marks)


@in_compiler
def programs_may_be_preempted() -> None:
    """Have the kernel look like one since 7.0, where tracepoint programs may be preempted."""
    types, newer = module("compiler.btf").KernelTypes, module("compiler.newer_kernels")

    def place_of(self: Any, name: str, field: str) -> Any:
        if (name, field) == newer.PREEMPTED:
            return module("compiler.btf").Place(0, 8, 8)
        return intact(self, name, field)

    intact = replace(types, "place_of", place_of)


@in_compiler
def registers_at_two_distances() -> None:
    """Have the saved registers of two tasks appear at different distances from their stacks."""
    stacks = struct.pack("=4Q", 0x1000, 0x1001, 0x2000, 0x2002)
    replace(module("shared.bpf"), "run_iterator", lambda fd: stacks)


@in_compiler
def broken_types() -> None:
    """Truncate the type information of the callbacks."""
    callbacks = module("compiler.callbacks")
    intact = callbacks._types
    replace(callbacks, "_types", lambda: intact()[:-1])


@in_compiler
def awaited_tasks(places: int) -> None:
    """Limit the table of awaited tasks to this many entries."""
    replace(module("compiler.callbacks"), "PLACES", places)
