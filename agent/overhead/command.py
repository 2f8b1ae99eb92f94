"""``chainbench-agent overhead [-- COMMAND]``: measure what each section costs a workload here."""

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
from agent.overhead.results import Result, WorkloadResult
from agent.overhead.rounds import Progress, measure
from agent.overhead.table import render
from agent.overhead.workloads import Command, PingPong
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS

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

    ``command`` is the user's workload, or None for the built-in ping-pong. This starts a separate
    agent with ``agent_arguments`` and leaves any running one alone. By default, the table goes to
    standard output, and progress and errors go to standard error.
    """
    out, progress = out or sys.stdout, progress or sys.stderr
    workload: Workload = Command(command) if command else PingPong()
    try:
        with running_agent(agent_arguments) as agent:
            result = _measure(workload, agent, Schedule(rounds), progress)
    except (AgentDidNotStart, WorkloadFailed) as error:
        progress.write(f"\nchainbench-agent overhead: {error}\n")
        return 1
    out.write(render(result))
    return 0 if any(m.name != Nothing.name for m in result.workloads[0].measured) else 1


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
        self._stream.write(f"\r\x1b[K{text}{end}")
        self._stream.flush()


def _measure(workload: Workload, agent: Client, schedule: Schedule, stream: TextIO) -> Result:
    started, began, load = datetime.now(UTC), time.monotonic(), load_average()
    measured: WorkloadResult = measure(
        workload, section_runs(agent), schedule, ProgressLine(stream)
    )
    return Result(
        machine=read_machine(),
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        load_before=load,
        load_after=load_average(),
        workloads=(measured,),
        skipped={},
    )
