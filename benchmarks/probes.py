"""Configurations that are small bcc programs: the floors, and ways to pass events to userspace."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import run

from agent.overhead.protocols import CannotMeasure, Configuration, Missing
from benchmarks import headers
from benchmarks.processes import Conversation

FOLDER = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class ProbeProgram:
    """A file in ``probes/``, its constants, and the reader of its buffer (`probe_host`)."""

    name: str
    label: str
    file: str
    reader: str
    defines: tuple[str, ...]


EVENTS_OF_ALL = ("RUNQUEUE=1", "SYSCALLS=1", "BLOCK=1", "TASKS=1")

PROGRAMS = (
    ProbeProgram("floor-empty", "floor: empty raw tracepoints", "floor.c", "none", ("RUNQUEUE=1",)),
    ProbeProgram(
        "floor-clock",
        "floor: raw tracepoints reading the clock",
        "floor.c",
        "none",
        ("RUNQUEUE=1", "CLOCK=1"),
    ),
    ProbeProgram(
        "floor-syscalls", "floor: empty program on sys_enter", "floor.c", "none", ("SYSCALLS=1",)
    ),
    ProbeProgram(
        "floor-all",
        "floor: all events of the five sections, reading the clock",
        "floor.c",
        "none",
        (*EVENTS_OF_ALL, "CLOCK=1"),
    ),
    ProbeProgram("batched", "experiment: batches of 256", "transport.c", "timer", ("SUBMIT=0",)),
    ProbeProgram(
        "record", "experiment: one record per event", "transport.c", "timer", ("SUBMIT=1",)
    ),
    ProbeProgram(
        "wakeup", "experiment: one wakeup per event", "transport.c", "wakeup", ("SUBMIT=2",)
    ),
    ProbeProgram(
        "ring-callback",
        "bcc ring buffer, one callback per event",
        "transport.c",
        "callback",
        ("SUBMIT=3",),
    ),
    ProbeProgram(
        "perf-callback",
        "bcc perf buffer, one callback per event",
        "transport.c",
        "callback",
        ("SUBMIT=4",),
    ),
)


class Probe:
    """A program, compiled when first armed by a child that lives until ``stack`` is closed."""

    def __init__(self, program: ProbeProgram, stack: ExitStack) -> None:
        self._program = program
        self._stack = stack
        self._child: Conversation | None = None
        self.name = program.name
        self.label = program.label

    def check(self) -> Missing | None:
        if not _system_python_has_bcc():
            return Missing(f"{SYSTEM_PYTHON} has no bcc", "apt-get install python3-bpfcc")
        return None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` when it does not compile, or no event arrived."""
        child = self._started()
        child.say("attach")
        try:
            yield
        finally:
            answer = child.say("detach")
        if self._program.reader != "none" and answer == "detached 0":
            raise CannotMeasure("no event arrived")

    def remarks(self) -> tuple[str, ...]:
        return ()

    def _started(self) -> Conversation:
        if self._child is None:
            program = self._program
            defines = [f"-D{define}" for define in program.defines]
            host, source = str(FOLDER / "probe_host.py"), str(FOLDER / "probes" / program.file)
            child = Conversation(
                [SYSTEM_PYTHON, "-I", host, source, program.reader, *defines],
                {headers.VARIABLE: str(headers.MINIMAL)},
            )
            self._stack.callback(child.end)
            child.listen()
            self._child = child
        return self._child


def probes(stack: ExitStack) -> list[Configuration]:
    """Return all `PROGRAMS`; their child processes end when ``stack`` is closed."""
    return [Probe(program, stack) for program in PROGRAMS]


@cache
def _system_python_has_bcc() -> bool:
    """Check in a child process, because importing bcc here would keep LLVM's 100 MB in memory."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    command = [SYSTEM_PYTHON, "-I", "-c", "from bcc import BPF"]
    return run(command, capture_output=True).returncode == 0
