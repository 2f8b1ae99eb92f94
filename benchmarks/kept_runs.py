"""Whether it shows in a benchmark that an agent keeps runs: pairs with and without ``--data-dir``.

The store is on the disk that is measured, and each run lasts long enough to be written while it is
in progress.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.client.spawn import AgentDidNotStart, RunningAgent, running_agent
from agent.overhead.agent_runs import AgentRun
from agent.overhead.interleave import Schedule
from agent.overhead.protocols import (
    Absent,
    Configuration,
    Missing,
    Nothing,
    Workload,
    WorkloadFailed,
)
from agent.overhead.results import WorkloadResult
from agent.overhead.rounds import OnProgress, measure
from agent.overhead.table import missing_text
from agent.sections.probes import DEFAULT_SECTIONS
from benchmarks.against import NothingAgain
from benchmarks.comparison import OTHER
from benchmarks.postgres import DISK, Pgbench
from benchmarks.workloads import Fio

SECONDS = 15
"""A run is written after ten seconds."""
USER = "65532"
"""Without an account: the store's folder is no other user's."""
LABEL = "all five sections, runs kept (new) and not (old)"


def measure_kept_runs(
    seconds: int, rounds: int, on_progress: OnProgress, tell: Callable[[str], None]
) -> list[WorkloadResult]:
    """Measure both agents alternately under each workload that can run here; raise nothing."""
    workloads: list[Workload] = [Fio(seconds), Pgbench(seconds)]
    results = []
    with ExitStack() as stack:
        offered = [Nothing(), NothingAgain(), *_configurations(stack)]
        for workload in workloads:
            missing = workload.check()
            try:
                if missing is None:
                    results.append(measure(workload, offered, Schedule(rounds), on_progress))
            except WorkloadFailed as error:
                missing = Missing(str(error))
            if missing is not None:
                tell(f"{workload.name} not run: {missing_text(missing)}")
    return results


def _configurations(stack: ExitStack) -> list[Configuration]:
    folder = stack.enter_context(_open_folder())
    keeping = ("--user", USER, "--data-dir", str(folder / "data"))
    agents = {"all": keeping, f"all{OTHER}": ()}
    return [_configuration(name, _agent(stack, options)) for name, options in agents.items()]


def _configuration(name: str, agent: RunningAgent | Missing) -> Configuration:
    if isinstance(agent, Missing):
        return Absent(name, LABEL, agent)
    return AgentRun(name, LABEL, agent, DEFAULT_SECTIONS, {})


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Yield a folder on the disk that the workloads use, which every user may reach."""
    with tempfile.TemporaryDirectory(prefix="chainbench-kept-", dir=DISK) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def _agent(stack: ExitStack, options: tuple[str, ...]) -> RunningAgent | Missing:
    try:
        return stack.enter_context(running_agent(options))
    except AgentDidNotStart as error:
        return Missing(str(error))
