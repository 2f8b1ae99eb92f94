"""The two workloads that need no extra tools: the ping-pong, and the user's own command."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from agent.client.interpreter import own_module
from agent.overhead.protocols import Missing, WorkloadFailed

PINGPONG_TURNS = 40_000
SHORTEST_RUN_SECONDS = 0.3
"""A command that runs for less is repeated: a single run would be lost in noise."""


def last_cpu() -> frozenset[int]:
    """Return the last usable CPU: interrupts and other activity concentrate on the first."""
    return frozenset({max(os.sched_getaffinity(0))})


def run_for_output(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    timeout: float = 600.0,
) -> str:
    """Return a command's standard output. Raises `WorkloadFailed` with its last line of error."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkloadFailed(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise WorkloadFailed(
            f"{command[0]} exited with status {done.returncode}: {''.join(complaint)}"
        )
    return done.stdout


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
        began = time.perf_counter()
        try:
            done = subprocess.run(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise WorkloadFailed(str(error)) from error
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise WorkloadFailed(
                f"{self._arguments[0]} exited with status {done.returncode}: {''.join(words)}"
            )
        return time.perf_counter() - began
