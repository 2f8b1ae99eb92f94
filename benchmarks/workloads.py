"""The workloads of the suite, and the packages that their tools come from."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from agent.client.interpreter import own_module
from agent.overhead.protocols import Missing, Workload, WorkloadFailed
from agent.overhead.workloads import PingPong, last_cpu, run_for_output
from benchmarks import CHECKOUT
from benchmarks.postgres import Pgbench

DISK = Path("/var/tmp")
"""A folder on the root disk; /tmp is a tmpfs on many systems."""


def missing_tool(tool: str, package: str) -> Missing | None:
    """Return None if ``tool`` is on the path, else how to install it on Debian and Ubuntu."""
    if shutil.which(tool):
        return None
    return Missing(f"{tool} is not installed", f"apt-get install {package}")


@dataclass(frozen=True)
class ToolWorkload:
    """A command that performs ``operations`` and whose output contains the time it took."""

    name: str
    operation: str
    cpus: frozenset[int] | None
    package: str
    command: Sequence[str]
    operations: int
    seconds: Callable[[str], float]
    environment: Mapping[str, str] | None = None

    def check(self) -> Missing | None:
        return missing_tool(self.command[0], self.package)

    def prepared(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self) -> float:
        output = run_for_output(self.command, self.environment)
        try:
            return self.seconds(output) / self.operations
        except (ValueError, AttributeError) as error:
            raise WorkloadFailed(
                f"unexpected output of {self.command[0]}: {output[-200:]!r}"
            ) from error


def _hackbench_seconds(output: str) -> float:
    match = re.search(r"^Time: ([\d.]+)", output, re.MULTILINE)
    if match is None:
        raise ValueError("no time in the output")
    return float(match[1])


def _perf_seconds_per_operation(output: str) -> float:
    """Parse the default format, because ``-f simple`` rounds the total to a millisecond."""
    match = re.search(r"([\d.]+) usecs/op", output)
    if match is None:
        raise ValueError("no usecs/op in the output")
    return float(match[1]) * 1e-6


def perf_bench(name: str, operation: str, arguments: str, operations: int) -> ToolWorkload:
    """Return a ``perf bench`` that reports microseconds per operation, pinned to one CPU."""
    command = ["perf", "bench", *arguments.split(), "-l", str(operations)]
    per_operation = _perf_seconds_per_operation
    return ToolWorkload(name, operation, last_cpu(), "linux-perf", command, 1, per_operation)


def pipe(turns: int) -> Workload:
    """Return ``perf bench sched pipe``, or our own ping-pong if perf is not installed."""
    return perf_bench("pipe", "turn", "sched pipe", turns) if shutil.which("perf") else PingPong()


def messaging(groups: int, loops: int) -> Workload:
    """Return perf's version of hackbench on all CPUs: 20 senders and receivers per group."""
    command = f"perf bench -f simple sched messaging -g {groups} -l {loops}".split()
    messages = groups * 20 * 20 * loops
    return ToolWorkload("messaging", "message", None, "linux-perf", command, messages, float)


def hackbench(groups: int, loops: int) -> Workload:
    """Return hackbench on all CPUs, with 20 senders and 20 receivers per group.

    Each pair of them exchanges ``loops`` messages.
    """
    command = f"hackbench -g {groups} -l {loops}".split()
    messages = groups * 20 * 20 * loops
    return ToolWorkload(
        "hackbench", "message", None, "rt-tests", command, messages, _hackbench_seconds
    )


def exec_storm(count: int) -> Workload:
    """Return a sequence of ``count`` processes, each an exec of true."""
    storm = own_module("benchmarks.exec_storm", str(count), folder=CHECKOUT)
    return ToolWorkload(
        name="exec-storm",
        operation="exec",
        cpus=last_cpu(),
        package="python3",
        command=storm.command,
        operations=1,
        seconds=float,
        environment=storm.environment,
    )


def pingpongs(turns: int) -> Workload:
    """Return two ping-pongs at once, each on a CPU of its own."""
    players = own_module("benchmarks.pingpongs", str(turns), folder=CHECKOUT)
    return ToolWorkload(
        name="pingpongs",
        operation="turn",
        cpus=None,
        package="python3",
        command=players.command,
        operations=1,
        seconds=float,
        environment=players.environment,
    )


class Fio:
    """Direct random reads of 4 KiB, 16 in flight, from a temporary file."""

    name = "fio"
    operation = "read"
    cpus: frozenset[int] | None = None

    def __init__(self, seconds: int, megabytes: int = 256) -> None:
        self._seconds = seconds
        self._megabytes = megabytes
        self._file = ""

    def check(self) -> Missing | None:
        return missing_tool("fio", "fio")

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Write the file first, so that no read hits a hole. Raises `WorkloadFailed`."""
        with tempfile.TemporaryDirectory(prefix="chainbench-fio-", dir=DISK) as folder:
            self._file = os.path.join(folder, "data")
            self._fio("--rw=write", "--bs=1m")
            yield

    def run(self) -> float:
        """Raises `WorkloadFailed`."""
        length = (f"--runtime={self._seconds}", "--time_based")
        output = self._fio("--rw=randread", "--bs=4k", "--iodepth=16", *length)
        try:
            return 1 / float(json.loads(output)["jobs"][0]["read"]["iops"])
        except (ValueError, LookupError, ZeroDivisionError) as error:
            raise WorkloadFailed(f"unexpected output of fio: {output[-200:]!r}") from error

    def _fio(self, *arguments: str) -> str:
        common = f"--name=bench --size={self._megabytes}m --direct=1 --ioengine=libaio"
        output = "--output-format=json"
        return run_for_output(
            ["fio", f"--filename={self._file}", *common.split(), output, *arguments]
        )


def quick() -> list[Workload]:
    """Return the workload for ``--quick``: runs of a third of a second, two minutes in all."""
    return [pipe(60_000)]


def full() -> list[Workload]:
    """Return all workloads, with runs of one to three seconds."""
    return [
        pipe(200_000),
        PingPong(60_000),
        pingpongs(60_000),
        hackbench(groups=10, loops=200),
        messaging(groups=5, loops=200),
        perf_bench("syscall", "syscall", "syscall basic", 5_000_000),
        Fio(seconds=1),
        exec_storm(1_000),
        Pgbench(seconds=1),
    ]
