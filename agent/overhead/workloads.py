"""The two workloads that need no extra tools: the ping-pong, and the user's own command."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from agent.client.children import child, foreign_child
from agent.client.interpreter import Invocation, own_module
from agent.client.shell_words import hint
from agent.exit_status import how_it_ended
from agent.overhead.protocols import Missing, WorkloadFailed

PINGPONG_TURNS = 40_000
SHORTEST_RUN_SECONDS = 0.3
"""A command that runs for less is repeated: a single run would be lost in noise."""
LONGEST_RUN_S = 600.0


def last_cpu() -> frozenset[int]:
    """Return the last usable CPU: interrupts and other activity concentrate on the first."""
    return frozenset({max(os.sched_getaffinity(0))})


def run_for_output(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return a command's standard output. Raises `WorkloadFailed` with its last line of error."""
    invocation = Invocation(tuple(command), environment or os.environ)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        with child(invocation, **streams) as process:
            output, errors = process.communicate(timeout=LONGEST_RUN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkloadFailed(f"{command[0]}: {error}") from error
    if process.returncode != 0:
        raise _failed(command[0], process.returncode, errors.strip() or output)
    return output.decode(errors="replace")


def _failed(command: str, status: int, output: bytes) -> WorkloadFailed:
    last_line = output.decode(errors="replace").strip().rpartition("\n")[2]
    said = f": {last_line}" if last_line else ""
    return WorkloadFailed(f"{command} {how_it_ended(status)}{said}")


class PingPong:
    """Two Python processes on one CPU that pass a byte back and forth."""

    name = "pingpong"
    operation = "turn"

    def __init__(self, turns: int = PINGPONG_TURNS) -> None:
        self._turns = turns
        self.cpus: frozenset[int] | None = last_cpu()

    def check(self) -> Missing | None:
        return None

    def prepared(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self) -> float:
        players = own_module("agent.overhead.pingpong", str(self._turns))
        return float(run_for_output(players.command, players.environment))


class Command:
    """The user's command, timed externally, with its output discarded. It is not pinned, because
    the way its threads share the CPUs is part of the measurement."""

    name = "command"
    cpus = None

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self._repeat = 1
        self.operation = f"run of {Path(arguments[0]).name}"

    def check(self) -> Missing | None:
        return None

    def prepared(self) -> AbstractContextManager[None]:
        """Run the command once to determine how often to repeat it."""
        self._repeat = max(1, round(SHORTEST_RUN_SECONDS / self._once()))
        return nullcontext()

    def run(self) -> float:
        return sum(self._once() for _ in range(self._repeat)) / self._repeat

    def _once(self) -> float:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        # not a pipe for the errors, which a daemon that the command starts would keep open
        with tempfile.TemporaryFile() as errors:
            began = time.perf_counter()
            try:
                with foreign_child(self._arguments, stderr=errors, **streams) as process:
                    process.wait()
                    took = time.perf_counter() - began
            except (OSError, subprocess.SubprocessError) as error:
                raise WorkloadFailed(f"{error}{hint(self._arguments)}") from error
            if process.returncode != 0:
                errors.seek(0)
                failed = _failed(self._arguments[0], process.returncode, errors.read())
                raise WorkloadFailed(f"{failed}{hint(self._arguments)}")
        return took
