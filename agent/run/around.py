"""An agent, or why there is none, and a run of it around one command after the other."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from agent.client.http_client import AgentClient
from agent.run import processes
from agent.run.agents import NoAgent, an_agent
from agent.run.held import HeldCommand
from agent.run.measurement import Measurement, NotMeasured, check_process, measurement
from agent.run.options import Options
from agent.words import LABEL_NAMES, Json


class Around:
    """Measures commands, as far as there is an agent that can.

    After a run that could not be started, no other one is: each might have to wait as long.
    """

    def __init__(self, options: Options, on_busy: Callable[[str], None]) -> None:
        self._options = options
        self._on_busy = on_busy
        self._agent: AgentClient | None = None
        self._why_not = ""

    def find_agent(self, stack: ExitStack) -> None:
        """Find an agent, which is left, or ended if it is our own, with the stack."""
        try:
            self._agent = stack.enter_context(an_agent(self._options.agent))
        except NoAgent as error:
            self._why_not = str(error)

    @property
    def shared_agent(self) -> AgentClient | None:
        """The agent, if others see it too."""
        is_own = self._agent is not None and self._agent.pid is not None
        return None if is_own else self._agent

    def start(
        self, stack: ExitStack, command: HeldCommand, labels: Mapping[str, str] | None = None
    ) -> tuple[Measurement | None, str]:
        """Return a run about the command, and why nothing is measured.

        There is a run with a reason too: its evidence repeats it.
        """
        if self._agent is None or self._why_not:
            return None, self._why_not
        run = stack.enter_context(measurement(self._agent))
        body = {**self._options.start, **(labels or {}), "scope": {"pid": command.pid}}
        if self._options.keep:
            body["kept_by"] = "client"  # a service that keeps runs marks this one as a copy
        try:
            started = self._start(run, body)
            check_process(started, command.pid, command.forked_at)
        except NotMeasured as error:
            run.close()
            self._why_not = str(error)
            return None, self._why_not
        return run, "" if started.get("available") else str(started.get("reason", ""))

    def rehearse(self, pid: int) -> None:
        """Begin and end a run about a process, without labels, so that programs are compiled."""
        if self._agent is None:
            return
        what = {
            name: value for name, value in self._options.start.items() if name not in LABEL_NAMES
        }
        with measurement(self._agent) as run:
            try:
                self._start(run, {**what, "scope": {"pid": pid}})
                run.stop()
            except NotMeasured as error:
                self._why_not = str(error)

    def reap(self, command: int) -> None:
        """Wait for children that have ended, but not for the command."""
        own = [command]
        if self._agent is not None and self._agent.pid is not None:
            self._agent.poll()
            own.append(self._agent.pid)  # it may end only now
        processes.reap_orphans(own)

    def left_behind(self) -> list[processes.Process]:
        """Return what the command has started and what still lives."""
        # an agent of our own leads its process group
        own = self._agent.pid if self._agent is not None else None
        return processes.left_behind(own)

    def evidence_of(
        self,
        run: Measurement | None,
        why_not: str,
        command: HeldCommand,
        labels: Mapping[str, str] | None = None,
    ) -> Json:
        """End a run and return its evidence, or evidence of why there is none."""
        if run is not None:
            try:
                return run.stop()
            except NotMeasured as error:
                why_not = str(error)
        given = {**self._options.start, **(labels or {})}
        return unmeasured(why_not, command.forked_at, given)

    def _start(self, run: Measurement, body: Mapping[str, Any]) -> Json:
        return run.start(body, self._options.patience_s, self._on_busy)


def unmeasured(why: str, started_at: datetime, given: Mapping[str, Any]) -> Json:
    """Return evidence of a run without an agent: what is known, in the places that it has there."""
    from agent import this_machine  # not before the command has ended

    labels = {name: given.get(name, "") for name in LABEL_NAMES}
    return {
        "available": False,
        "reason": why,
        "labels": {**labels, "machine": os.uname().nodename},
        "started_at": started_at.isoformat(timespec="microseconds"),
        "manifest": this_machine.described(),
    }
