"""``--against PATH``: the agent of another checkout and this one's, in turns in one session.

Of the other checkout only ``python -m agent`` and the HTTP contract are relied on: its agent is
run by this interpreter, with that checkout before what is installed (`own_module`), so both have
the same Python and the same dependencies. What is measured inside of a process, the fold, its own
``benchmarks`` measure in a child process.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.client.interpreter import Invocation, own_module
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.overhead.agent_runs import Client
from agent.overhead.protocols import CannotMeasure, Configuration, Missing, Nothing
from agent.overhead.workloads import run_for_output
from benchmarks import CHECKOUT
from benchmarks.comparison import OTHER
from benchmarks.configurations import agent_runs
from benchmarks.micro import Figures, measure_parts

FOLD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from benchmarks.micro import fold_alone
json.dump(fold_alone(), sys.stdout)
"""


class NotACheckout(Exception):
    """A path that holds no agent; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with ``agent/`` and ``benchmarks/`` in it, and its commit."""

    path: Path
    commit: str

    @property
    def agent(self) -> Invocation:
        return own_module("agent", folder=self.path)


def checkout(path: Path = CHECKOUT) -> Checkout:
    """Look at what is there. Raises `NotACheckout`."""
    path = path.resolve()
    if not (path / "agent" / "__main__.py").is_file():
        raise NotACheckout(f"{path} is no checkout of the agent: no agent/__main__.py in it")
    return Checkout(path, _commit(path))


def _commit(path: Path) -> str:
    describe = ["git", "-C", str(path), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown commit"
    return done.stdout.strip() or "unknown commit"


# --- configurations


class NothingAgain(Nothing):
    """Against `Nothing` in the same round: how far a ratio is from 1 by chance."""

    name = Nothing.name + OTHER
    label = "nothing again"


class IdleAgent:
    """One more agent that has loaded its programs and attached none."""

    def __init__(self, name: str, label: str, invocation: Invocation) -> None:
        self.name = name
        self.label = label
        self._invocation = invocation

    def check(self) -> Missing | None:
        return None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` where it does not start, or cannot collect."""
        try:
            with running_agent(invocation=self._invocation) as agent:
                agent.post("/start", {})
                evidence = agent.post("/stop")
                if not evidence.get("available"):
                    raise CannotMeasure(str(evidence.get("reason")))
                yield
        except (AgentDidNotStart, AgentRefused, AgentUnreachable) as error:
            raise CannotMeasure(str(error)) from error

    def remarks(self) -> tuple[str, ...]:
        return ()


def pairs(
    this: Client | Missing, other: Client | Missing, this_is: Checkout, other_is: Checkout
) -> list[Configuration]:
    """Each run of the agent under the same name twice, the other checkout's with `OTHER`."""
    note = f", {other_is.commit}"
    return [
        Nothing(),
        NothingAgain(),
        IdleAgent("idle", "an idle agent", this_is.agent),
        IdleAgent("idle" + OTHER, "an idle agent" + note, other_is.agent),
        *agent_runs(this),
        *agent_runs(other, OTHER, note),
    ]


# --- the parts


def measure_both(
    this: Checkout, other: Checkout, full: bool, rounds: int, tell: Callable[[str], None]
) -> tuple[list[Figures], list[Figures]]:
    """All figures of both, round by round; each round starts with the one that ended the last.

    One agent at a time, since two would share pages and each look smaller than it is.
    """
    of_this: list[Figures] = []
    of_other: list[Figures] = []
    order = [(other, of_other), (this, of_this)]
    for number in range(rounds):
        for side, measured in order:
            tell(f"round {number + 1} of {rounds}: {side.path} ({side.commit})")
            measured.append(measure_parts(full, tell, side.agent, partial(fold_of, side.path)))
        order.reverse()
    return of_this, of_other


def fold_of(path: Path) -> Figures:
    """`fold_alone` of the ``benchmarks`` in a checkout. Raises `WorkloadFailed`."""
    figures = json.loads(run_for_output([sys.executable, "-I", "-c", FOLD, str(path)]))
    return {name: float(value) for name, value in figures.items()}
