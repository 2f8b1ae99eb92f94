"""``chainbench-agent overhead [-- COMMAND]``: measure what each section costs a workload here."""

import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from agent.client.spawn import AgentDidNotStart, running_agent
from agent.exit_status import KILLED_BY
from agent.overhead.agent_runs import AgentRun, Client
from agent.overhead.interleave import Schedule
from agent.overhead.machine import load_average, read_machine
from agent.overhead.progress import ProgressLine
from agent.overhead.protocols import Configuration, Nothing, Workload, WorkloadFailed
from agent.overhead.results import Result
from agent.overhead.rounds import INTERRUPTED, Interrupted, RunFailed, measure
from agent.overhead.table import most_common_reason, reasons_text, render
from agent.overhead.trial import not_armed, without
from agent.overhead.workloads import Command, PingPong
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from agent.terminal import output as terminal
from agent.terminal.files import cannot_write, save
from agent.terminal.values import printable

ROUNDS = 10


def run_overhead(
    command: Sequence[str] | None,
    *,
    rounds: int = ROUNDS,
    json_file: Path | None = None,
    agent_arguments: Sequence[str] = (),
    out: TextIO | None = None,
    progress: TextIO | None = None,
) -> int:
    """Measure, print a table, and return the exit status.

    It is 1 if nothing could be measured, the workload failed, or the result could not be saved.
    What cannot be armed here is named before the first round, and if that is all, there is none.
    Where the measurement ends early, by Ctrl-C or because the workload fails, the table shows what
    has been measured so far. Raises OutputFailed.

    ``command`` is the user's workload, or None for the built-in ping-pong. This starts a separate
    agent with ``agent_arguments`` and leaves any running one alone. By default, the table goes to
    standard output, and progress and errors go to standard error. ``json_file`` gets the result
    with every pair.
    """
    out, progress = out or sys.stdout, progress or sys.stderr
    line = ProgressLine(progress)
    if json_file is not None and (why := cannot_write(json_file)):
        return _complain(f"cannot write {printable(json_file)}: {why}", line)
    workload: Workload = Command(command) if command else PingPong()
    try:
        with running_agent(agent_arguments) as agent:
            # runs of their own for the trial: their remarks are none of the measurement
            missing = not_armed(AgentRun("", "", agent, SECTIONS, {}), section_runs(agent))
            runs = without(section_runs(agent), missing)
            if len(missing) == len(runs) - 1:
                why = most_common_reason(missing)
                return _complain(f"nothing can be measured: {why}", line)
            if missing:
                _complain(f"not everything can be measured:\n{reasons_text(missing)}", line)
            result = _measure(workload, runs, Schedule(rounds), line)
    except (AgentDidNotStart, WorkloadFailed) as error:
        return _complain(str(error), line)
    # saved first: printing fails where nobody reads the output any more
    saved = json_file is None or _save(result, json_file, line)
    status = _report(result, out, line)
    return status if saved else status or 1


def _report(result: Result, out: TextIO, line: ProgressLine) -> int:
    """Print the table, unless there is nothing in it, and return the exit status."""
    workload = result.workloads[0]
    measured = any(m.name != Nothing.name for m in workload.measured)
    if workload.ended:
        so_far = "measured so far:" if measured else "nothing has been measured yet"
        _complain(f"{workload.ended}; {so_far}", line)
    if measured or not workload.ended:
        terminal.write(render(result, terminal.columns(out)), out)
    if workload.ended == INTERRUPTED:
        return KILLED_BY + signal.SIGINT
    return 0 if measured and not workload.ended else 1


def _complain(text: str, line: ProgressLine) -> int:
    line.end()
    said = "\n".join(printable(part, 2000) for part in text.splitlines())
    terminal.complain(f"chainbench-agent overhead: {said}\n", line.stream)
    return 1


def _save(result: Result, path: Path, line: ProgressLine) -> bool:
    if why := save(path, json.dumps(result.to_json(), indent=1) + "\n"):
        _complain(f"cannot write {printable(path)}: {why}", line)
    return why is None


def section_runs(agent: Client) -> list[Configuration]:
    """Return the A/A configuration, each section alone, and all default sections together."""
    alone = [AgentRun(section, section, agent, (section,), {}) for section in SECTIONS]
    return [Nothing(), *alone, AgentRun("all", "all five sections", agent, DEFAULT_SECTIONS, {})]


def _measure(
    workload: Workload, runs: Sequence[Configuration], schedule: Schedule, line: ProgressLine
) -> Result:
    """Return the result, also where Ctrl-C or a run that failed cut it short."""
    started, began, load = datetime.now(UTC), time.monotonic(), load_average()
    try:
        measured = measure(workload, runs, schedule, line)
    except (Interrupted, RunFailed) as error:
        measured = error.result
    return Result(
        machine=read_machine(),
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        load_before=load,
        load_after=load_average(),
        workloads=(measured,),
        skipped={},
    )
