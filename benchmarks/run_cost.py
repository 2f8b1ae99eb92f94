"""``python -m benchmarks run-cost``: what a command costs under ``run``, in pairs with bare runs.

Each round runs a command three times, in an order that is drawn: bare, under ``run`` with an agent
that measures it, and under ``run`` without one. The command's own time is compared between the last
two, where the same code starts it and times it; the time of the whole, between the first two.
"""

import json
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.client.children import foreign_child
from agent.client.interpreter import own_module
from agent.client.spawn import RunningAgent
from agent.exit_status import how_it_ended
from agent.overhead.interleave import Step
from agent.overhead.protocols import Missing, WorkloadFailed
from agent.overhead.rounds import OnProgress, Progress
from agent.overhead.stats import SEED
from agent.overhead.table import columns, interval_text, missing_text
from agent.statistics.comparison import Shift, relative_shift, shift
from agent.statistics.estimate import Estimate
from agent.statistics.sample import median_interval
from agent.words import Json
from benchmarks.postgres import Pgbench
from benchmarks.workloads import DISK, missing_tool

BARE, MEASURED, UNMEASURED = "bare", "measured", "unmeasured"
WAYS = (BARE, MEASURED, UNMEASURED)
WARMUP = 1
PATIENCE_S = 120.0
TRANSACTIONS = 250
"""Of each of the four clients."""
FILES, FUNCTIONS = 4, 150
HEADERS = (
    *("command", "rounds", "takes, ms", "measured", "95 % interval"),
    *("whole, ms", "95 % interval"),
)
"""What it takes is its own time under ``run`` without an agent; the others are what is added."""


@dataclass(frozen=True, slots=True)
class Command:
    """``prepared`` gives the command, for as long as what it needs is there."""

    name: str
    label: str
    rounds: int
    prepared: Callable[[], AbstractContextManager[Sequence[str]]]
    check: Callable[[], Missing | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Row:
    """What a command took in each round, in ms; ``whole`` from start to end, ``own`` of itself."""

    label: str
    whole: Mapping[str, Sequence[float]]
    """Of `BARE` and `MEASURED`."""
    own: Mapping[str, Sequence[float]]
    """Of `UNMEASURED` and `MEASURED`, by the clock of ``run``."""

    @property
    def slowdown(self) -> Shift:
        """By which part the command itself takes longer where it is measured."""
        return relative_shift(self.own[UNMEASURED], self.own[MEASURED])

    @property
    def added_ms(self) -> Shift:
        """By how much the whole takes longer, with all that ``run`` does before and after."""
        return shift(self.whole[BARE], self.whole[MEASURED])


@dataclass(slots=True)
class Costs:
    rows: list[Row] = field(default_factory=list)
    until_exec_ms: Sequence[float] = ()
    """From the start of ``run`` to that of the command, less what it takes bare; one each round."""
    missing: dict[str, Missing] = field(default_factory=dict)


# --- the commands


@contextmanager
def compilation() -> Iterator[Sequence[str]]:
    """Compile a few C files, one after the other."""
    with tempfile.TemporaryDirectory(prefix="chainbench-cc-", dir=DISK) as folder:
        files = [Path(folder, f"{n}.c") for n in range(FILES)]
        for file in files:
            functions = (f"int f{n}(int a) {{ return a * {n} + f(a); }}" for n in range(FUNCTIONS))
            file.write_text("\n".join(["#include <stdio.h>", "int f(int a);", *functions]))
        each = f"for file in {shlex.join(map(str, files))}; do gcc -O2 -S -o /dev/null $file; done"
        yield ("sh", "-ec", each)


@contextmanager
def transactions() -> Iterator[Sequence[str]]:
    server = Pgbench(1)
    with server.prepared():
        yield server.transactions(4, TRANSACTIONS)


COMMANDS = (
    Command("true", "true", 60, lambda: nullcontext(("true",))),
    Command("sleep", "sleep 0.1", 40, lambda: nullcontext(("sleep", "0.1"))),
    Command("compile", "gcc, four files", 30, compilation, lambda: missing_tool("gcc", "gcc")),
    Command("pgbench", "pgbench, 1,000 transactions", 20, transactions, Pgbench(1).check),
)
UNTIL_EXEC_ROUNDS = 30
QUICK_PART = 0.2


# --- one run


def _whole_ms(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a command and return how long it took from outside. Raises `WorkloadFailed`."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    began = time.monotonic()
    with foreign_child(command, env=environment, **streams) as process:
        try:
            said = process.communicate(timeout=PATIENCE_S)[1].decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            raise WorkloadFailed(f"{command[0]} took more than {PATIENCE_S:g} s") from error
        took = (time.monotonic() - began) * 1e3
    if process.returncode != 0:
        last = said.strip().rpartition("\n")[2]
        raise WorkloadFailed(f"{command[0]} {how_it_ended(process.returncode)}: {last}")
    return took


def _under_run(url: str, command: Sequence[str], folder: Path) -> tuple[float, Json]:
    """Run a command under ``run``; return how long the whole took in ms, and what was saved.

    It is kept below ``folder``: keeping belongs to the whole, but not to the user's own runs.
    """
    file = folder / "saved.json"
    options = ["--agent", url, "--commit", "", "--quiet", "--json", str(file)]
    ours = own_module("agent", "run", *options, "--", *command)
    took = _whole_ms(ours.command, {**ours.environment, "XDG_STATE_HOME": str(folder)})
    saved: Json = json.loads(file.read_text())
    file.unlink()
    return took, saved


def _one(
    way: str, agent: RunningAgent, command: Sequence[str], folder: Path
) -> tuple[float, float]:
    """Return what the whole took, and the command itself, in ms. Raises `WorkloadFailed`."""
    if way == BARE:
        whole = _whole_ms(command)
        return whole, whole
    url = agent.url if way == MEASURED else f"unix:{folder}/nobody"
    whole, saved = _under_run(url, command, folder)
    if saved["available"] != (way == MEASURED):
        raise WorkloadFailed(f"{way}: {saved.get('reason') or 'there was an agent all the same'}")
    if way == MEASURED and saved["completeness"]["verdict"] == "invalid":
        raise WorkloadFailed(f"invalid: {saved['completeness']['reasons']}")
    return whole, saved["command"]["wall_ms"]


def _until_exec_ms(agent: RunningAgent) -> float:
    """Return how much later a command says what time it is if ``run`` has started it."""

    def said_after(command: Sequence[str], environment: Mapping[str, str] | None) -> float:
        began = time.time()
        said = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        return (float(said.stdout) - began) * 1e3

    tell = ("date", "+%s.%N")
    options = ["--agent", agent.url, "--quiet", "--no-store"]
    ours = own_module("agent", "run", *options, "--", *tell)
    return said_after(ours.command, ours.environment) - said_after(tell, None)


# --- all of them


def measure_costs(
    agent: RunningAgent, chosen: Sequence[Command], part: float, progress: OnProgress
) -> Costs:
    """Measure each of the commands, with this part of its rounds."""
    costs = Costs()
    for command in chosen:
        why = command.check()
        if why is None:
            try:
                with command.prepared() as arguments:
                    costs.rows.append(_row(agent, command, arguments, part, progress))
                continue
            except WorkloadFailed as error:
                why = Missing(str(error))
        costs.missing[command.name] = why
    rounds = max(round(UNTIL_EXEC_ROUNDS * part), 1)
    costs.until_exec_ms = [_until_exec_ms(agent) for _ in range(WARMUP + rounds)][WARMUP:]
    return costs


def _row(
    agent: RunningAgent,
    command: Command,
    arguments: Sequence[str],
    part: float,
    progress: OnProgress,
) -> Row:
    random, rounds = Random(SEED), max(round(command.rounds * part), 1)
    whole: dict[str, list[float]] = {way: [] for way in WAYS}
    own: dict[str, list[float]] = {way: [] for way in WAYS}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chainbench-cost-") as folder:
        for done in range(WARMUP + rounds):
            for way in random.sample(WAYS, len(WAYS)):
                whole_ms, own_ms = _one(way, agent, arguments, Path(folder))
                whole[way].append(whole_ms)
                own[way].append(own_ms)
            left = (time.monotonic() - began) / (done + 1) * (WARMUP + rounds - done - 1)
            step = Step(done - WARMUP, None)
            progress(Progress(command.name, step, done + 1, WARMUP + rounds, left))
    return Row(
        command.label,
        {way: whole[way][WARMUP:] for way in (BARE, MEASURED)},
        {way: own[way][WARMUP:] for way in (UNMEASURED, MEASURED)},
    )


# --- the table


def render(costs: Costs) -> str:
    """Return the table as text."""
    lines = columns([HEADERS, *map(_line, costs.rows)]) if costs.rows else []
    lines += [f"{name} not run: {missing_text(why)}" for name, why in costs.missing.items()]
    if costs.until_exec_ms:
        found = median_interval(costs.until_exec_ms)
        lines.append(
            f"from the start of run to the command's: {found.middle:.1f} ms "
            f"({interval_text(found, 1)}) more than bare, {len(costs.until_exec_ms)} times"
        )
    return "\n".join(lines) + "\n"


def _line(row: Row) -> tuple[str, ...]:
    slowdown, added = row.slowdown.estimate, row.added_ms.estimate
    return (
        row.label,
        str(len(row.own[MEASURED])),
        f"{median_interval(row.own[UNMEASURED]).middle:.1f}",
        f"{slowdown.middle:+.1%}",
        _percent_interval(slowdown),
        f"{added.middle:+.1f}",
        interval_text(added, 1, " – "),
    )


def _percent_interval(found: Estimate) -> str:
    return f"{found.low:+.1%} – {found.high:+.1%}" if found.has_interval else "none"
