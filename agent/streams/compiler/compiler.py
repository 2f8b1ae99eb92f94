"""The compiler process: imports bcc, compiles the C files, loads the programs, sends fds, exits.

What an earlier agent compiled as root is loaded without bcc (`kept.py`). The process lives for
one set of programs, so that LLVM's 100 MB and LLVM's crashes go away with it. It runs as a script
under an interpreter that has bcc (usually the distribution's), and imports only bcc and the
standard library. Keep it compatible with Python 3.9.

The request and the answer are one message each on the inherited socket ``argv[1]``
(agent/streams/shared/build_messages.py). Clang's messages go to stderr.
"""

import importlib.util
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

PACKAGE = Path(__file__).resolve().parents[2]
PROBES = PACKAGE / "streams" / "probes"
HEADERS = (PROBES, PACKAGE / "sections")
"""All that a C file may include."""

if __name__ == "__main__":
    # Last on the path: the project's environment must not shadow this interpreter's packages.
    sys.path.append(str(PACKAGE.parent))

from agent.sections.probes import ALL_DETAILS
from agent.sections.spec import Detail, Program
from agent.streams.compiler import kept, rare
from agent.streams.compiler.btf import KIND_FUNC, KernelTypes
from agent.streams.compiler.callbacks import Callbacks
from agent.streams.compiler.kept import Compiled
from agent.streams.compiler.linking import link, without_fds
from agent.streams.compiler.newer_kernels import Newer, may_preempt, newer_kernel, unguarded
from agent.streams.compiler.planning import (
    Possible,
    available_programs,
    chosen_details,
    not_searching,
    possible,
    without_search,
)
from agent.streams.shared import bpf, channel, limits, refusals, specs
from agent.streams.shared.build_messages import (
    AWAITED_EXECS,
    BuildAnswer,
    BuildRequest,
    ProgramName,
)
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.channel import Failure

Loaded = list[tuple[Program, int]]


class Attempt(NamedTuple):
    """Sections of which everything was compiled and loaded."""

    loaded: Loaded
    bcc: str
    """The version of the bcc that compiled them."""


class Build(NamedTuple):
    """The outcome of a request."""

    done: Attempt
    unavailable: dict[str, str]
    newer: Newer
    """The newer kernel features that the programs use."""
    refused: str = ""
    """Why they use none although this kernel has some; otherwise empty."""


LOG_BYTES = 16 * 1024


ALL_SECTIONS = "all sections, without details"
NOT_TOGETHER = "it can be built alone, but not with everything else of this run"
OF_ONE_SECTION = ("compile_failed", "load_failed", "kernel_too_old")
"""Causes that may concern some of the sections and spare the others."""


def compile_source(constants: dict[str, int], sections: tuple[str, ...]) -> Compiled:
    """Compile all C files as one translation unit, or find what was kept of that.

    Raises CannotCollect, or ImportError or OSError if bcc cannot be imported.
    """
    switches = {switch: int(s in sections) for s, switch in specs.SWITCHES.items()}
    text = "".join(f'#line 1 "{name}"\n{(PACKAGE / name).read_text()}' for name in specs.SOURCES)
    definitions = [
        f"-D{n}={v}ULL" if v >> 32 else f"-D{n}={v}" for n, v in {**constants, **switches}.items()
    ]
    name = kept.key(bcc_module(), text + Path(rare.__file__).read_text(), HEADERS, definitions)
    compiled = kept.read(name)
    if compiled is None:
        compiled = compile_anew(text, [f"-I{PACKAGE}", f"-I{PROBES}", *definitions])
        kept.write(name, compiled)
    return compiled


def compile_anew(text: str, cflags: list[str]) -> Compiled:
    """Have bcc compile (0.2 s). Raises CannotCollect, or what the import of bcc raises."""
    try:
        from bcc import BPF, __version__, lib  # not at the top: this interpreter may lack it
    except OSError as error:
        if error.errno is not None:
            raise
        raise ImportError(f"{error}; its library libbcc is damaged or missing") from error

    position = stderr_size()
    try:
        module = BPF(text=text.encode(), cflags=cflags)
    except Exception as error:  # bcc raises bare Exceptions, without clang's messages
        said = stderr_since(position) or str(error)
        limit = limits.reached("compiling the probes", limits.reached_in(said))
        raise limit or cannot("compile_failed", said) from error
    numbers = range(lib.bpf_num_functions(module.module))
    names = [lib.bpf_function_name(module.module, number) for number in numbers]
    functions = {name.decode(): rare.rare_last(module.dump_func(name)) for name in names}
    return Compiled(functions, __version__)


def bcc_module() -> str:
    """Return the file of bcc's module, without importing it. Raises CannotCollect."""
    found = importlib.util.find_spec("bcc")
    if found is None or found.origin is None:
        raise cannot("no_bcc", "No module named 'bcc'")
    return found.origin


def stderr_size() -> int:
    """Return the bytes written to stderr so far; 0 if it is not a file (the supervisor's is)."""
    return os.fstat(2).st_size


def stderr_since(position: int) -> str:
    """Return the last lines written after ``position``: clang reports errors there."""
    start = max(position, stderr_size() - LOG_BYTES)
    try:
        text = os.pread(2, LOG_BYTES, start).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-bpf.LOG_LINES :])


def load_program(
    types: KernelTypes,
    functions: dict[str, bytes],
    program: Program,
    marks: dict[int, int],
    callbacks: Optional[Callbacks],
) -> int:
    """Load one program and return its fd. Raises bpf.LoadFailed or CannotCollect."""
    if program.iterates:
        btf_id = types.type_id("bpf_iter_task", KIND_FUNC)
        attach_type = bpf.ATTACH_TRACE_ITER
    else:
        btf_id = types.tracepoint_id(program.tracepoint)
        attach_type = bpf.ATTACH_TRACE_RAW_TP
    if btf_id is None:
        raise cannot("kernel_too_old", f"this kernel has no {program.hook}")
    code = functions[program.function]
    if not program.callback or callbacks is None:
        return bpf.load_tracing(program.name, link(code, marks), attach_type, btf_id)
    linked = link(code, marks, link(functions[program.callback], marks))
    parts = callbacks.functions(code)
    return bpf.load_tracing(program.name, linked, attach_type, btf_id, callbacks.types_fd, parts)


def attempt(
    types: KernelTypes, constants: dict[str, int], sections: tuple[str, ...], newer: Newer
) -> Attempt:
    """Compile and load everything for these sections, or nothing. Raises CannotCollect."""
    constants, fds = without_fds({**constants, **newer.constants()})
    functions, bcc = compile_source(constants, sections)
    loaded: Loaded = []
    hook = "iter/registers"
    try:
        marks = {**fds, **newer.marks(types, functions)}
        for program in available_programs(types, constants, sections):
            hook = program.hook
            fd = load_program(types, functions, program, marks, newer.callbacks)
            loaded.append((program, fd))
    except bpf.LoadFailed as error:
        cause = refusals.not_loaded(hook, error)  # before files are closed that a limit counts
        close_all(loaded)
        raise cause from error
    except OSError as error:
        close_all(loaded)
        limit = limits.reached(hook, error.errno)
        raise limit or cannot("load_failed", f"{hook}: {error}") from error
    except CannotCollect:
        close_all(loaded)
        raise
    return Attempt(loaded, bcc)


def close_all(loaded: Loaded) -> None:
    for _, fd in loaded:
        os.close(fd)


def attempt_best(types: KernelTypes, plan: Possible) -> Build:
    """Try with this kernel's newer features, then without them if that fails.

    Kernels on which saved registers are searched for have none; there the search is left out.
    """
    newer = none = Newer(preempts=may_preempt(types))
    try:
        newer = newer_kernel(types, plan.constants, plan.sections, none.preempts)
        done = attempt(types, plan.constants, plan.sections, newer)
        return Build(done, {**plan.unavailable, **unguarded(newer)}, newer, newer.refused)
    except (CannotCollect, OSError) as error:
        newer.close()
        refused = str(error)
    plain = without_search(plan, refused)
    done = attempt(types, plain.constants, plain.sections, none)
    return Build(done, {**plain.unavailable, **unguarded(none)}, none, refused)


def build(sections: tuple[str, ...], constants: dict[str, int]) -> Build:
    """Build every section and detail that can be built, and report why the others cannot.

    All are built together. Only if that fails is each built alone, to find the one at fault. If
    what can be built alone cannot be built together, all details are left out.
    Raises CannotCollect if no section can be built.
    """
    types = KernelTypes()
    plan = possible(types, constants, sections)
    if not plan.sections:
        raise cannot("kernel_too_old", "; ".join(sorted(set(plan.unavailable.values()))))
    try:
        return attempt_best(types, plan)
    except CannotCollect as error:
        if error.code not in OF_ONE_SECTION:
            raise
    remaining = _without_those_at_fault(types, plan)
    try:
        return attempt_best(types, remaining)
    except CannotCollect as error:
        details = chosen_details(remaining.constants, remaining.sections)
        if error.code not in OF_ONE_SECTION or not details:
            raise
        cause = error
    return attempt_best(types, _without_details(remaining, details, cause))


def _without_details(plan: Possible, details: Sequence[Detail], cause: CannotCollect) -> Possible:
    """Return the plan without these details, of which each alone can be built."""
    why = f"{NOT_TOGETHER}: {cause.code}: {cause.message}"
    constants = {**plan.constants, **{detail.switch: 0 for detail in details}}
    unavailable = {**plan.unavailable, **{detail.name: why for detail in details}}
    return Possible(plan.sections, constants, unavailable)


def _without_those_at_fault(types: KernelTypes, plan: Possible) -> Possible:
    """Return the plan with those sections and details only that can be built alone.

    Raises the last cause if no section can. A detail never costs its section.
    """
    details = chosen_details(plan.constants, plan.sections)
    off = {**not_searching(plan.constants), **{detail.switch: 0 for detail in details}}
    faults: dict[str, CannotCollect] = {}

    def note(name: str, sections: tuple[str, ...], constants: dict[str, int]) -> None:
        try:
            close_all(attempt(types, constants, sections, Newer()).loaded)
        except CannotCollect as error:
            faults[name] = error

    note(ALL_SECTIONS, plan.sections, off)
    if faults.pop(ALL_SECTIONS, None):
        for section in plan.sections:
            note(section, (section,), off)
    wanted = tuple(s for s in plan.sections if s not in faults)
    if not wanted:
        raise faults.popitem()[1]
    for detail in chosen_details(plan.constants, wanted):
        note(detail.name, (ALL_DETAILS[detail.name],), {**off, detail.switch: 1})
    reasons = {name: f"{error.code}: {error.message}" for name, error in faults.items()}
    faulty = {detail.switch: 0 for detail in details if detail.name in faults}
    constants = {**plan.constants, **faulty}
    return Possible(wanted, constants, {**plan.unavailable, **reasons})


def answer(request: BuildRequest) -> tuple[Union[BuildAnswer, Failure], dict[str, int]]:
    """Carry out a request. Returns the message to send and its file descriptors by name."""
    os.environ["BCC_KERNEL_SOURCE"] = str(PROBES / "include")
    try:
        bcc_module()
        built = build(request.sections, request.constants)
    except ImportError as error:
        limit = limits.reached("importing bcc", limits.reached_in(str(error)))
        return _failure(limit or cannot("no_bcc", str(error))), {}
    except CannotCollect as error:
        return _failure(error), {}
    except OSError as error:  # from ctypes it has no errno
        limit = limits.reached("compiling", error.errno or limits.reached_in(str(error)))
        return _failure(limit or refusals.refused("compiling", error)), {}
    fds = {program.hook: fd for program, fd in built.done.loaded}
    if built.newer.callbacks:
        fds[AWAITED_EXECS] = built.newer.callbacks.awaited_fd
    programs = tuple(ProgramName(program.name, program.hook) for program, _ in built.done.loaded)
    return BuildAnswer(programs, built.unavailable, built.done.bcc, built.refused), fds


def _failure(cause: CannotCollect) -> Failure:
    return Failure(cause.code, cause.message)


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as supervisor:
        request = channel.decode(BuildRequest, supervisor.recv(channel.MAX_MESSAGE))
        message, fds = answer(request)
        if isinstance(message, Failure):
            channel.send_failure(supervisor, message)
        else:
            channel.send_answer(supervisor, message, fds)
    # not exit(): the cleanup of bcc and LLVM is slow and has crashed
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
