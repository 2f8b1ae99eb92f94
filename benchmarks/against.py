"""``--against PATH``: measure another checkout's agent and this one alternately in one session.

The comparison relies only on the other checkout's ``python -m agent`` and the HTTP contract. This
interpreter runs both agents, with the checkout ahead of site-packages (`own_module`), so they have
the same Python and dependencies. The fold is the only part measured in-process: each checkout's
own ``benchmarks`` does so, in a child process.
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
    """Raised for a path without an agent; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder that contains ``agent/`` and ``benchmarks/``, and its commit."""

    path: Path
    commit: str

    @property
    def agent(self) -> Invocation:
        return own_module("agent", folder=self.path)


def checkout(path: Path = CHECKOUT) -> Checkout:
    """Return the checkout at a path. Raises `NotACheckout`."""
    path = path.resolve()
    if not (path / "agent" / "__main__.py").is_file():
        raise NotACheckout(f"{path} is not a checkout of the agent: it has no agent/__main__.py")
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
    """A second `Nothing` in the same round, which shows how far a ratio is from 1 by chance."""

    name = Nothing.name + OTHER
    label = "nothing again"


class IdleAgent:
    """An additional agent that has loaded its programs and attached none."""

    def __init__(self, name: str, label: str, invocation: Invocation) -> None:
        self.name = name
        self.label = label
        self._invocation = invocation

    def check(self) -> Missing | None:
        return None

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` if the agent does not start or cannot collect."""
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
    """Return each configuration for both checkouts, with `OTHER` after the names of the other's."""
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
    """Return all figures of both checkouts, by round. The order alternates between rounds.

    Only one agent runs at a time: two would share pages, and each would appear too small.
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
    """Run `fold_alone` from a checkout's own ``benchmarks``. Raises `WorkloadFailed`."""
    figures = json.loads(run_for_output([sys.executable, "-I", "-c", FOLD, str(path)]))
    return {name: float(value) for name, value in figures.items()}
