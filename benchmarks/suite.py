"""The contents of ``--quick``, ``--full`` and ``targets``, and the functions that run them."""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from subprocess import run

from agent.client.interpreter import Invocation
from agent.client.spawn import AgentDidNotStart, RunningAgent, running_agent
from agent.overhead.interleave import Schedule
from agent.overhead.machine import load_average, read_machine
from agent.overhead.protocols import Configuration, Missing, Workload, WorkloadFailed
from agent.overhead.results import Result, WorkloadResult, merge
from agent.overhead.rounds import OnProgress, RunFailed, measure
from agent.overhead.table import missing_text
from benchmarks import workloads
from benchmarks.against import Checkout, checkout, pairs
from benchmarks.comparison import plain
from benchmarks.configurations import configurations
from benchmarks.targets import HELD

QUICK_ROUNDS = 10
FULL_ROUNDS = 15

COMMON = ("nothing", "floor-clock", "runqlat", "all", "all-accounting")
RUNQUEUE_PEERS = ("bcc-runqlat", "bpftrace")
QUICK = (*COMMON, "all-perf", *RUNQUEUE_PEERS)
SHOWN: dict[str, tuple[str, ...]] = {
    "pingpong": (*COMMON, "bcc-runqlat"),
    "hackbench": (*COMMON, "all-perf", *RUNQUEUE_PEERS, "libbpf-all"),
    "messaging": (*COMMON, "bcc-runqlat"),
    "syscall": (
        *("nothing", "floor-syscalls", "syscall_counts", "all"),
        *("bcc-syscount", "libbpf-syscount"),
    ),
    "fio": (
        *("nothing", "floor-all", "biolatency", "all", "all-accounting"),
        *("libbpf-biolatency", "libbpf-all"),
    ),
    "exec-storm": ("nothing", "exec", "all", "bcc-runqlat", "libbpf-execsnoop", "libbpf-all"),
    "pgbench": (
        *("nothing", "floor-syscalls", "floor-all", "runqlat", "syscall_counts"),
        *("all", "all-accounting", *RUNQUEUE_PEERS, "libbpf-all"),
    ),
}
"""The configurations that are meaningful for a workload; pipe is measured under all of them."""

FOR_TARGETS = (
    "nothing",
    *dict.fromkeys(name for target in HELD for name in (target.numerator, target.denominator)),
)
"""The configurations that the targets compare."""

AGAINST = ("nothing", "idle", "runqlat", "all")
"""The configurations that two checkouts are compared under by default."""

MORE_ROUNDS = {"fio": 3, "pgbench": 3}
"""Multipliers of the number of rounds. Consecutive runs of these workloads differ by 2.5 and 5 %,
whether they last one second or four, so there are many short runs."""

TOOLS = {
    "perf": ("perf", "--version"),
    "bpftrace": ("bpftrace", "--version"),
    "fio": ("fio", "--version"),
    "pgbench": ("pgbench", "--version"),
    "bcc": ("/usr/bin/python3", "-I", "-c", "import bcc; print(bcc.__version__)"),
    # its tools report no version of their own
    "libbpf-tools": ("dpkg-query", "--show", "--showformat", "${Version}", "libbpf-tools"),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The command line's selection; an empty ``only`` selects everything in the mode."""

    full: bool
    rounds: int
    only: frozenset[str] = frozenset()
    against: Checkout | None = None

    def workloads(self) -> list[Workload]:
        offered = workloads.full() if self.full else workloads.quick()
        named = [workload for workload in offered if workload.name in self.only]
        return named or offered

    def schedule(self, workload: str) -> Schedule:
        return Schedule(self.rounds * MORE_ROUNDS.get(workload, 1))

    def configurations(
        self, workload: str, offered: Sequence[Configuration]
    ) -> list[Configuration]:
        """Return those to measure ``workload`` under: the named ones and A/A, or the defaults."""
        named = self.only & {plain(configuration.name) for configuration in offered}
        if named:
            wanted = {"nothing", *named}
        elif self.against:
            wanted = set(AGAINST)
        elif self.full:
            wanted = set(SHOWN.get(workload, [configuration.name for configuration in offered]))
        else:
            wanted = set(QUICK)
        return [configuration for configuration in offered if plain(configuration.name) in wanted]


@dataclass(frozen=True, slots=True)
class Names:
    """The names that ``--only`` may give."""

    quick: tuple[str, ...]
    full: tuple[str, ...]
    """Workloads of ``--full`` alone."""
    configurations: tuple[str, ...]

    def refuse(self, only: Sequence[str], full: bool) -> str:
        """Return why these names cannot be measured, in one line or more; empty if they can."""
        known = {*self.quick, *self.full, *self.configurations}
        if unknown := [name for name in only if name not in known]:
            return "\n".join(
                (
                    f"unknown workload or configuration: {', '.join(unknown)}",
                    f"workloads: {', '.join(self.quick)}; with --full also {', '.join(self.full)}",
                    f"configurations: {', '.join(self.configurations)}",
                )
            )
        if not full and (left_out := [name for name in only if name in self.full]):
            return f"only with --full: {', '.join(left_out)}"
        return ""


def known_names(against: Checkout | None = None) -> Names:
    """Return the names of all workloads, and of the configurations to measure them under."""
    missing = Missing("not requested")
    quick = tuple(workload.name for workload in workloads.quick())
    full = tuple(workload.name for workload in workloads.full())
    with ExitStack() as stack:
        offered = (
            pairs(missing, missing, checkout(), against)
            if against
            else configurations(missing, stack)
        )
        offered_names = dict.fromkeys(plain(configuration.name) for configuration in offered)
    return Names(quick, tuple(n for n in full if n not in quick), tuple(offered_names))


def measure_all(
    selection: Selection, on_progress: OnProgress, tell: Callable[[str], None]
) -> Result:
    """Run the selection. A workload that cannot run is listed in ``skipped``; none raises."""
    started, began, load = datetime.now(UTC), time.monotonic(), load_average()
    with ExitStack() as stack:
        offered = _offered(selection, stack)
        measured, skipped = _measure_workloads(selection, offered, on_progress, tell)
    return Result(
        machine=read_machine(versions(selection.against)),
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        load_before=load,
        load_after=load_average(),
        workloads=tuple(measured),
        skipped=skipped,
        commit=checkout().commit,
    )


def measure_targets(rounds: int, on_progress: OnProgress, tell: Callable[[str], None]) -> Result:
    """Measure what the targets compare: in each round an agent and peers that were just started.

    What a program costs depends on where in memory the kernel compiles it to: on one machine the
    same program took 12.4 to 15.2 % of a ping-pong's turn, from start to start, and its floor 8.3
    to 11.4 %. Within one start that is a bias, which no number of pairs would show.
    """
    selection = Selection(False, 1, frozenset(FOR_TARGETS))
    results = []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        results.append(measure_all(selection, on_progress, tell))
    return reduce(merge, results)


def _measure_workloads(
    selection: Selection,
    offered: Sequence[Configuration],
    on_progress: OnProgress,
    tell: Callable[[str], None],
) -> tuple[list[WorkloadResult], dict[str, Missing]]:
    measured: list[WorkloadResult] = []
    skipped: dict[str, Missing] = {}
    for workload in selection.workloads():
        missing = workload.check()
        if missing is None:
            wanted = selection.configurations(workload.name, offered)
            schedule = selection.schedule(workload.name)
            try:
                measured.append(measure(workload, wanted, schedule, on_progress))
            except RunFailed as error:
                if error.result.measured:
                    measured.append(error.result)
                else:
                    missing = Missing(str(error))
                tell(f"{workload.name} ended early: {error}")
            except WorkloadFailed as error:
                missing = Missing(str(error))
        if missing:
            skipped[workload.name] = missing
            tell(f"{workload.name} not run: {missing_text(missing)}")
    return measured, skipped


def _offered(selection: Selection, stack: ExitStack) -> list[Configuration]:
    other = selection.against
    if other is None:
        return configurations(_agent(stack), stack)
    this = checkout()
    return pairs(_agent(stack, this.agent), _agent(stack, other.agent), this, other)


def _agent(stack: ExitStack, invocation: Invocation | None = None) -> RunningAgent | Missing:
    """Start an agent for the whole session, or return why it does not start."""
    try:
        return stack.enter_context(running_agent(invocation=invocation))
    except AgentDidNotStart as error:
        return Missing(str(error))


def versions(against: Checkout | None = None) -> dict[str, str]:
    """Return the versions of the installed `TOOLS`, and the commits if there are two checkouts."""
    tools = {name: command for name, command in TOOLS.items() if shutil.which(command[0])}
    commits = {"new": checkout().commit, "old": against.commit} if against else {}
    found = {name: _version(command) for name, command in tools.items()}
    return {name: version for name, version in found.items() if version is not None} | commits


def _version(command: Sequence[str]) -> str | None:
    """Return the version that a command prints, or None if what it asks about is not installed."""
    done = run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    number = re.search(r"\d+(\.\d+)+", done.stdout)
    return number[0] if number else "unknown"
