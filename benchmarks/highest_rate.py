"""What is lost at the highest rate of events that this machine can make.

The agent runs in a session of its own, as a service does: some kernels then let it starve next to a
fast ping-pong (docs/explanation/full-buffers.md). What it reports is compared with the kernel's own
counts, which every run of the agent reads at its edges.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from subprocess import DEVNULL, Popen
from typing import Any

from agent.client.interpreter import Invocation, own_module
from agent.client.spawn import RunningAgent, running_agent
from agent.overhead.protocols import WorkloadFailed

Figures = dict[str, float]

PIPE = ("perf", "bench", "sched", "pipe", "-l", "100000")
HACKBENCH = ("hackbench", "-g", "10", "-l", "500")

LOADS: dict[str, tuple[Sequence[str], int]] = {
    "2_pipes": (PIPE, 2),
    "4_pipes": (PIPE, 4),
    "hackbench": (HACKBENCH, 1),
}
"""By name: a command, and how many of it run side by side."""
STOPPED = "stopped"
"""The name of the load during which the agent is stopped for a while: two ping-pongs."""

CHECKED = {"switches": "context_switches", "waits": "run_queue_wait"}
"""The checks of a run that are reported, by what they compare."""


def measure(
    seconds: float, tell: Callable[[str], None], invocation: Invocation | None = None
) -> Figures:
    """Run each load for ``seconds``; with the last one, the agent is stopped for a twelfth of it.

    Raises `AgentDidNotStart`, `AgentRefused`, `AgentUnreachable`, `WorkloadFailed`, or OSError if a
    tool is missing.
    """
    figures: Figures = {}
    with agent_of_its_own_session(invocation) as agent:
        for name, (command, copies) in LOADS.items():
            tell(f"{name}: {seconds:g} s")
            figures |= _under(agent, name, command, copies, seconds, stopped_s=0)
        tell(f"{STOPPED}: {seconds:g} s")
        figures |= _under(agent, STOPPED, PIPE, 2, seconds, stopped_s=seconds / 12)
    return figures


@contextmanager
def agent_of_its_own_session(invocation: Invocation | None) -> Iterator[RunningAgent]:
    plain = invocation or own_module("agent")
    with running_agent(invocation=replace(plain, command=("setsid", *plain.command))) as agent:
        agent.post("/start", {})
        agent.post("/stop")
        yield agent


def _under(
    agent: RunningAgent,
    name: str,
    command: Sequence[str],
    copies: int,
    seconds: float,
    stopped_s: float,
) -> Figures:
    [serving] = [p["pid"] for p in agent.get("/status")["processes"] if p["role"] == "agent"]
    agent.post("/start", {})
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(copies) as threads:
        loads = [threads.submit(_repeat, command, until) for _ in range(copies)]
        if stopped_s:
            time.sleep(seconds / 2 - stopped_s / 2)
            os.kill(serving, signal.SIGSTOP)
            time.sleep(stopped_s)
            os.kill(serving, signal.SIGCONT)
    for load in loads:
        load.result()  # raises what the load has raised
    return figures_of(name, agent.post("/stop"))


def _repeat(command: Sequence[str], until: float) -> None:
    """Run a command again and again. Raises OSError or `WorkloadFailed`: nothing is lost then."""
    while time.monotonic() < until:
        with Popen(command, stdout=DEVNULL, stderr=DEVNULL) as process:
            status = process.wait()
        if status != 0:
            raise WorkloadFailed(f"{command[0]} ended with status {status}")


def figures_of(name: str, evidence: Mapping[str, Any]) -> Figures:
    """Return what was lost and folded in a run, and how far it is from the kernel's counts."""
    streams = evidence["completeness"]["streams"].values()
    runqlat = evidence["completeness"]["streams"]["runqlat"]
    produced, received, lost = (
        sum(stream[field] for stream in streams) for field in ("produced", "received", "lost")
    )
    # absent from the evidence of an older agent
    folded = runqlat.get("folded", 0)
    overhead = evidence["overhead"]
    return {
        f"{name}_lost_events": lost,
        f"{name}_unaccounted_events": abs(produced - received - lost),
        f"{name}_events_per_second": received / evidence["duration_s"],
        f"{name}_folded_percent": 100 * folded / max(1, runqlat["received"]),
        f"{name}_longest_drain_gap_ms": overhead.get("longest_drain_gap_ms", 0),
        **{f"{name}_{what}_off_percent": off for what, off in _off(evidence)},
    }


def _off(evidence: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield how far a check's figures are apart, beyond what is explained, in percent."""
    for what, wanted in CHECKED.items():
        [check] = [check for check in evidence["checks"] if check["name"] == wanted]
        apart = check["ours"] + check["explained"] - check["kernel"]
        yield what, 100 * abs(apart) / max(1, check["kernel"])
