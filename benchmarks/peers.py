"""Third-party tools that measure the same things. To add one, add an entry to `PEERS`.

Each runs with tracefs and debugfs mounted, which several of them need. The host's own mounts do not
change.

A tool that attaches nothing costs nothing, and must not look cheap. No tool reports what it has
attached, some go on if they could not attach, and most have nothing to print if nothing happened.
So the kernel is asked for the programs that a tool keeps attached, before the workload and after.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.overhead.protocols import CannotMeasure, Configuration, Missing
from benchmarks import headers
from benchmarks.attachments import attached_programs
from benchmarks.processes import Interruptible

READY_SECONDS = 60.0
SETTLE_SECONDS = 0.5
"""For ``perf``, which attaches no BPF program: time until its events are enabled."""

BPFTRACE = (
    'BEGIN { printf("ready\\n"); } '
    "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @q[args->pid] = nsecs; } "
    "tracepoint:sched:sched_switch { "
    "if (args->prev_state == 0) { @q[args->prev_pid] = nsecs; } "
    "$ns = @q[args->next_pid]; "
    "if ($ns) { @usecs = hist((nsecs - $ns) / 1000); } delete(@q[args->next_pid]); }"
)
"""bpftrace's own runqlat.bt, without its banner."""

WITH_OWN_PROC = "mount -t proc nodev /proc && "
WITH_TRACEFS = (
    "mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null;"
    " mount -t debugfs nodev /sys/kernel/debug 2>/dev/null;"
    ' cd "$0" && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class PeerTool:
    """A tool, how to tell that it traces, and how to tell that it did.

    ``ready`` matches its output when it is about to trace (empty: no such output). ``programs`` is
    the number of BPF programs that it attaches (0: it uses none). ``proof`` matches its output if
    it did trace (empty: it has nothing to report under most workloads). ``wants_own_proc``: it
    refuses to run where /proc shows another PID namespace than its own.
    """

    name: str
    label: str
    command: tuple[str, ...]
    package: str
    ready: str
    programs: int
    proof: str
    wants_headers: bool = False
    wants_own_proc: bool = False


PEERS = (
    PeerTool(
        name="bcc-runqlat",
        label="bcc runqlat",
        command=("runqlat-bpfcc",),
        package="bpfcc-tools",
        ready="Tracing run queue latency",
        programs=3,
        proof=r"->.*\|",
        wants_headers=True,
    ),
    PeerTool(
        name="bpftrace",
        label="bpftrace one-liner for run-queue latency",
        command=("bpftrace", "-B", "line", "-e", BPFTRACE),
        package="bpftrace",
        ready="^ready",
        programs=3,
        proof=r"@usecs:",
    ),
    PeerTool(
        name="perf-sched",
        label="perf sched record",
        command=("perf", "sched", "record", "-o", "perf.data"),
        package="linux-perf",
        ready="",
        programs=0,
        proof=r"Captured and wrote .*\(\d+ samples\)",
        wants_own_proc=True,
    ),
    PeerTool(
        name="bcc-syscount",
        label="bcc syscount",
        command=("syscount-bpfcc",),
        package="bpfcc-tools",
        ready="Tracing syscalls",
        programs=1,
        proof=r"SYSCALL +COUNT\n\S",
        wants_headers=True,
    ),
)


def _libbpf_tool(command: str, *, programs: int, proof: str) -> PeerTool:
    """Return a tool of libbpf-tools: that it traces shows only in the programs it attaches."""
    return PeerTool(
        name=f"libbpf-{command}",
        label=f"libbpf-tools {command}",
        command=(_as_installed(command),),
        package="libbpf-tools",
        ready="",
        programs=programs,
        proof=proof,
    )


def _as_installed(command: str) -> str:
    """Return the name that a tool of libbpf-tools has here: Debian 13 adds a suffix."""
    names = (command, f"{command}-libbpf")
    return next((name for name in names if shutil.which(name)), command)


LIBBPF_TOOLS = (
    _libbpf_tool("runqlat", programs=3, proof=r"->.*\|"),
    _libbpf_tool("offcputime", programs=1, proof=r"\(\d+\)\n +\d+"),
    _libbpf_tool("syscount", programs=1, proof=r"SYSCALL +COUNT\n\S"),
    _libbpf_tool("biolatency", programs=2, proof=""),
    _libbpf_tool("execsnoop", programs=2, proof=r"^PCOMM.*\n\S"),
)
"""The tools of libbpf-tools that together measure what our five sections do."""


class Peer:
    """A configuration that starts a `PeerTool` before the workload and interrupts it afterwards."""

    def __init__(self, tool: PeerTool, stack: ExitStack) -> None:
        self._tool = tool
        self._stack = stack
        self._environment: dict[str, str] | None = None
        self.name = tool.name
        self.label = tool.label

    def check(self) -> Missing | None:
        tool = self._tool
        if shutil.which(tool.command[0]) is None:
            return Missing(f"{tool.command[0]} is not installed", f"apt-get install {tool.package}")
        if os.geteuid() != 0:
            return Missing(f"{tool.command[0]} needs root", "run the suite with sudo")
        if tool.wants_headers and not headers.available():
            return Missing(
                "bcc's tools need kernel headers (any version)",
                "apt-get install linux-headers-amd64",
            )
        return None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` if the tool does not start, attaches nothing, or sees nothing."""
        with tempfile.TemporaryDirectory(prefix="chainbench-peer-") as folder:
            child = self._start(Path(folder))
            try:
                self._wait_until_tracing(child)
                yield
                if not self._is_attached(child):
                    raise self._not_attached(child, "after the workload")
            finally:
                output = child.end()
        if not re.search(self._tool.proof, output, re.MULTILINE):
            raise CannotMeasure(f"{self.name} saw nothing: {output.strip()[-200:]}")

    def remarks(self) -> tuple[str, ...]:
        return ()

    def _start(self, folder: Path) -> Interruptible:
        if self._environment is None:
            wanted = headers.environment(self._stack) if self._tool.wants_headers else {}
            # Otherwise a Python tool would buffer its output until it exits.
            self._environment = {"PYTHONUNBUFFERED": "1", **wanted}
        script = WITH_OWN_PROC + WITH_TRACEFS if self._tool.wants_own_proc else WITH_TRACEFS
        command = ("sh", "-c", script, str(folder), *self._tool.command)
        return Interruptible(command, self._environment)

    def _wait_until_tracing(self, child: Interruptible) -> None:
        """Raises `CannotMeasure` unless the tool is ready and attaches all its programs."""
        try:
            in_time = child.wait_until(lambda: self._is_tracing(child), READY_SECONDS)
        except CannotMeasure as error:
            raise CannotMeasure(f"{self.name} {error}") from error
        if not in_time:
            raise self._not_attached(child, f"after {READY_SECONDS:.0f} s")
        if not self._tool.programs:
            time.sleep(SETTLE_SECONDS)

    def _is_tracing(self, child: Interruptible) -> bool:
        ready = re.search(self._tool.ready, child.output(), re.MULTILINE)
        return ready is not None and self._is_attached(child)

    def _is_attached(self, child: Interruptible) -> bool:
        return len(attached_programs(child.pids())) >= self._tool.programs

    def _not_attached(self, child: Interruptible, when: str) -> CannotMeasure:
        attached = len(attached_programs(child.pids()))
        return CannotMeasure(
            f"{self.name} had {attached} of {self._tool.programs} programs attached {when}:"
            f" {child.last_line()}"
        )


class Together:
    """A configuration that arms several others at once; it needs all of them."""

    def __init__(self, name: str, label: str, members: Sequence[Configuration]) -> None:
        self.name = name
        self.label = label
        self._members = members

    def check(self) -> Missing | None:
        return next(filter(None, (member.check() for member in self._members)), None)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` if any member does."""
        with ExitStack() as stack:
            for member in self._members:
                stack.enter_context(member.armed())
            yield

    def remarks(self) -> tuple[str, ...]:
        return tuple(remark for member in self._members for remark in member.remarks())


def peers(stack: ExitStack) -> list[Configuration]:
    """Return each tool alone, and libbpf-tools' five at once.

    The temporary files that they share are removed when ``stack`` is closed.
    """
    libbpf = [Peer(tool, stack) for tool in LIBBPF_TOOLS]
    together = Together("libbpf-all", "libbpf-tools: all five at once", libbpf)
    return [*(Peer(tool, stack) for tool in PEERS), *libbpf, together]
