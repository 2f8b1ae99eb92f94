"""Third-party tools that measure the same things. To add one, add an entry to `PEERS`.

Each runs in a private mount namespace with tracefs and debugfs mounted, which several of them need.
The host's own mounts do not change.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.overhead.protocols import CannotMeasure, Missing
from benchmarks import headers
from benchmarks.processes import Interruptible

SETTLE_SECONDS = 0.5
"""Time from a tool's last startup message until its probes are attached, which no tool reports."""
READY_SECONDS = 60.0

BPFTRACE = (
    'BEGIN { printf("ready\\n"); } '
    "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @q[args->pid] = nsecs; } "
    "tracepoint:sched:sched_switch { "
    "if (args->prev_state == 0) { @q[args->prev_pid] = nsecs; } "
    "$ns = @q[args->next_pid]; "
    "if ($ns) { @usecs = hist((nsecs - $ns) / 1000); } delete(@q[args->next_pid]); }"
)
"""bpftrace's own runqlat.bt, without its banner."""

IN_NAMESPACE = (
    "mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null;"
    " mount -t debugfs nodev /sys/kernel/debug 2>/dev/null;"
    ' cd "$0" && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class PeerTool:
    """A tool. ``ready`` matches its output when it is about to trace (empty: no such output);
    ``proof`` matches its output if it did trace."""

    name: str
    label: str
    command: tuple[str, ...]
    package: str
    ready: str
    proof: str
    wants_headers: bool = False


PEERS = (
    PeerTool(
        name="bcc-runqlat",
        label="bcc runqlat",
        command=("runqlat-bpfcc",),
        package="bpfcc-tools",
        ready="Tracing run queue latency",
        proof=r"->.*\|",
        wants_headers=True,
    ),
    PeerTool(
        name="bpftrace",
        label="bpftrace one-liner for run-queue latency",
        command=("bpftrace", "-B", "line", "-e", BPFTRACE),
        package="bpftrace",
        ready="^ready",
        proof=r"@usecs:",
    ),
    PeerTool(
        name="perf-sched",
        label="perf sched record",
        command=("perf", "sched", "record", "-o", "perf.data"),
        package="linux-perf",
        ready="",
        proof=r"Captured and wrote",
    ),
    PeerTool(
        name="bcc-syscount",
        label="bcc syscount",
        command=("syscount-bpfcc",),
        package="bpfcc-tools",
        ready="Tracing syscalls",
        proof=r"SYSCALL +COUNT\n\S",
        wants_headers=True,
    ),
)


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
        """Raises `CannotMeasure` if the tool does not start or sees nothing."""
        with tempfile.TemporaryDirectory(prefix="chainbench-peer-") as folder:
            child = self._start(Path(folder))
            try:
                child.wait_until_said(self._tool.ready, READY_SECONDS)
                time.sleep(SETTLE_SECONDS)
                yield
            finally:
                output = child.end()
        if not re.search(self._tool.proof, output):
            raise CannotMeasure(f"the tool saw nothing: {output.strip()[-200:]}")

    def remarks(self) -> tuple[str, ...]:
        return ()

    def _start(self, folder: Path) -> Interruptible:
        if self._environment is None:
            wanted = headers.environment(self._stack) if self._tool.wants_headers else {}
            # Otherwise a Python tool would buffer its output until it exits.
            self._environment = {"PYTHONUNBUFFERED": "1", **wanted}
        namespace = ("unshare", "--mount", "--propagation", "private")
        command = (*namespace, "sh", "-c", IN_NAMESPACE, str(folder), *self._tool.command)
        return Interruptible(command, self._environment)
