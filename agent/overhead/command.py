"""``chainbench-agent overhead [-- COMMAND]``: measure what each section costs a workload here."""

import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from agent.client.spawn import AgentDidNotStart, running_agent
from agent.overhead.agent_runs import AgentRun, Client
from agent.overhead.interleave import Schedule
from agent.overhead.machine import load_average, read_machine
from agent.overhead.protocols import Configuration, Nothing, Workload, WorkloadFailed
from agent.overhead.results import Result
from agent.overhead.rounds import Interrupted, Progress, measure
from agent.overhead.table import render
from agent.overhead.workloads import Command, PingPong
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from agent.terminal import output as terminal
from agent.terminal.streams import KILLED_BY

ROUNDS = 10


def run_overhead(
    command: Sequence[str] | None,
    *,
    rounds: int = ROUNDS,
    agent_arguments: Sequence[str] = (),
    out: TextIO | None = None,
    progress: TextIO | None = None,
) -> int:
    """Measure, print a table, and return the exit status: 1 if nothing could be measured.

    Ctrl-C ends it with a table of what has been measured so far. Raises OutputFailed.

    ``command`` is the user's workload, or None for the built-in ping-pong. This starts a separate
    agent with ``agent_arguments`` and leaves any running one alone. By default, the table goes to
    standard output, and progress and errors go to standard error.
    """
    out, progress = out or sys.stdout, progress or sys.stderr
    workload: Workload = Command(command) if command else PingPong()
    try:
        with running_agent(agent_arguments) as agent:
            result, interrupted = _measure(workload, agent, Schedule(rounds), progress)
    except (AgentDidNotStart, WorkloadFailed) as error:
        terminal.complain(f"\nchainbench-agent overhead: {error}\n", progress)
        return 1
    measured = any(m.name != Nothing.name for m in result.workloads[0].measured)
    if not interrupted:
        terminal.write(render(result), out)
        return 0 if measured else 1
    so_far = "measured so far:" if measured else "nothing has been measured yet"
    terminal.complain(f"\nchainbench-agent overhead: interrupted; {so_far}\n", progress)
    if measured:
        terminal.write(render(result), out)
    return KILLED_BY + signal.SIGINT


def section_runs(agent: Client) -> list[Configuration]:
    """Return the A/A configuration, each section alone, and all default sections together."""
    alone = [AgentRun(section, section, agent, (section,), {}) for section in SECTIONS]
    return [Nothing(), *alone, AgentRun("all", "all five sections", agent, DEFAULT_SECTIONS, {})]


class ProgressLine:
    """A progress line that is rewritten in place on a terminal, and omitted elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._watched = stream.isatty()

    def __call__(self, progress: Progress) -> None:
        if not self._watched:
            return
        what = progress.step.configuration or "bare"
        left = "" if progress.remaining is None else f", {progress.remaining:.0f} s left"
        text = f"{progress.workload}: {progress.done}/{progress.total}{left}: {what}"
        end = "\n" if progress.done == progress.total else ""
        terminal.complain(f"\r\x1b[K{text}{end}", self._stream)


def _measure(
    workload: Workload, agent: Client, schedule: Schedule, stream: TextIO
) -> tuple[Result, bool]:
    """Return the result, and whether Ctrl-C cut it short."""
    started, began, load = datetime.now(UTC), time.monotonic(), load_average()
    interrupted = False
    try:
        measured = measure(workload, section_runs(agent), schedule, ProgressLine(stream))
    except Interrupted as error:
        measured, interrupted = error.result, True
    result = Result(
        machine=read_machine(),
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        load_before=load,
        load_after=load_average(),
        workloads=(measured,),
        skipped={},
    )
    return result, interrupted
