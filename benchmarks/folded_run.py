"""A configuration in which each wait is folded in the kernel, because the agent does not read."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.client.interpreter import own_module
from agent.client.spawn import RunningAgent
from agent.overhead.agent_runs import AgentRun
from agent.overhead.protocols import CannotMeasure
from agent.overhead.rounds import pinned
from agent.overhead.workloads import last_cpu, run_for_output

FILLING_TURNS = 300_000
"""Twice as many waits, more than the largest ring holds."""


class FoldedRun(AgentRun):
    """Run-queue latency alone, of an agent that is stopped once its buffer is full."""

    name = "runqlat-folded"
    label = "runqlat, folded in the kernel (the agent is stopped)"

    def __init__(self, agent: RunningAgent) -> None:
        super().__init__(self.name, self.label, agent, ("runqlat",), {})
        self._running = agent

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raises `CannotMeasure` as `AgentRun` does, and if most waits were not folded."""
        processes = self._running.get("/status")["processes"]
        [serving] = [process["pid"] for process in processes if process["role"] == "agent"]
        with super().armed():
            os.kill(serving, signal.SIGSTOP)
            try:
                self._fill()
                yield
            finally:
                os.kill(serving, signal.SIGCONT)

    def _fill(self) -> None:
        players = own_module("agent.overhead.pingpong", str(FILLING_TURNS))
        with pinned(last_cpu()):
            run_for_output(players.command, players.environment)

    def _judge(self, evidence: Mapping[str, Any]) -> None:
        super()._judge(evidence)
        counts = evidence["completeness"]["streams"]["runqlat"]
        # only what came before the buffer was full was streamed
        if counts["received"] - counts["folded"] > 2 * FILLING_TURNS:
            raise CannotMeasure(f"only {counts['folded']} of {counts['received']} were folded")
