"""An agent, or why there is none, and a run of it around one command after the other."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.client.http_client import AgentClient
from agent.run import processes
from agent.run.agents import NoAgent, an_agent, known_details
from agent.run.held import HeldCommand
from agent.run.measurement import Measurement, Measuring, NotMeasured, check_process
from agent.run.options import Options
from agent.words import LABEL_NAMES, Json

if TYPE_CHECKING:
    from agent.client.several import Member


COMPILES = "compiles its probes the first time"
SUMS_UP = "puts the evidence together"
"""What an agent does that may take long."""


class Around:
    """Measures commands, as far as there is an agent that can, or are several.

    After a run that could not be started, no other one is: each might have to wait as long.
    """

    def __init__(
        self,
        options: Options,
        on_busy: Callable[[str], None],
        on_missing: Callable[[str], None],
        on_slow: Callable[[str], None],
    ) -> None:
        """``on_missing`` is called with the name of another machine without evidence, and why.

        ``on_slow`` is called while an answer takes long, with what the agent does.
        """
        self._options = options
        self._on_busy = on_busy
        self._on_missing = on_missing
        self._on_slow = on_slow
        self._agent: AgentClient | None = None
        self._members: list[Member] = []
        self._why_not = ""
        self.gave_up = False
        """Whether a run could not be started, so that no other one is tried."""
        self._details: Sequence[str] = options.start.get("details", ())

    def find_agent(self, stack: ExitStack, on_closed: Callable[[str], None]) -> None:
        """Find the agents. One of our own ends with the stack. ``on_closed``: see `an_agent`."""
        options = self._options
        try:
            if options.agent is not None and options.others:
                # only here: it takes time to import, and the command waits for that
                from agent.client.several import members_at

                self._members = members_at([options.agent, *options.others])
            else:
                self._agent = stack.enter_context(an_agent(options.agent, on_closed))
        except NoAgent as error:
            self._why_not = str(error)
            return
        if options.wished and (here := self._agent_here()) is not None:
            self._details = [*self._details, *known_details(here, options.wished)]

    def _agent_here(self) -> AgentClient | None:
        """Return the agent that measures the commands; None if there is none among several."""
        here = (member.agent for member in self._members if member.is_here)
        return next(here, None) or self._agent

    @property
    def shared_agent(self) -> AgentClient | None:
        """An agent that others see too: of several, the one on this machine if there is one."""
        taking_part = [member for member in self._members if not member.why_not]
        if taking_part:
            return max(taking_part, key=lambda member: member.is_here).agent
        is_own = self._agent is not None and self._agent.pid is not None
        return None if is_own else self._agent

    def start(
        self, stack: ExitStack, command: HeldCommand, labels: Mapping[str, str] | None = None
    ) -> tuple[Measuring | None, str]:
        """Return a run about the command, and why nothing is measured.

        There is a run with a reason too: its evidence repeats it.
        """
        if self._why_not:
            return None, self._why_not
        run = stack.enter_context(self._measuring())
        body = {**self._what(), **(labels or {}), "scope": {"pid": command.pid}}
        if self._options.keep:
            body["kept_by"] = "client"  # a service that keeps runs marks this one as a copy
        check = partial(check_process, pid=command.pid, forked_at=command.forked_at)
        try:
            with self._telling_if_slow(COMPILES):
                started = run.start(body, self._options.patience_s, self._on_busy, check)
        except NotMeasured as error:
            run.close()
            self._give_up(error)
            return None, self._why_not
        self._tell_of_missing(run)
        return run, "" if started.get("available") else str(started.get("reason", ""))

    def rehearse(self, pid: int) -> None:
        """Begin and end a run about a process, without labels, so that programs are compiled."""
        if self._why_not:
            return
        what = {name: value for name, value in self._what().items() if name not in LABEL_NAMES}
        body = {**what, "scope": {"pid": pid}}
        with self._measuring() as run:
            try:
                with self._telling_if_slow(COMPILES):
                    run.start(body, self._options.patience_s, self._on_busy)
            except NotMeasured as error:
                self._give_up(error)
                return
            with suppress(NotMeasured):  # nobody wants this evidence
                run.stop()

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
        run: Measuring | None,
        why_not: str,
        command: HeldCommand,
        labels: Mapping[str, str] | None = None,
    ) -> Json:
        """End a run and return its evidence, or evidence of why there is none."""
        beside: Mapping[str, Any] = {}
        if run is not None:
            try:
                with self._telling_if_slow(SUMS_UP):
                    return run.stop()
            except NotMeasured as error:
                why_not, beside = str(error), error.beside
            finally:
                self._tell_of_missing(run)
        given = {**self._options.start, **(labels or {})}
        return {**unmeasured(why_not, command.forked_at, given), **beside}

    def _give_up(self, error: NotMeasured) -> None:
        self._why_not, self.gave_up = str(error), True

    def _what(self) -> Json:
        """Return what a run measures, and its labels."""
        details = {"details": self._details} if self._details else {}
        return {**self._options.start, **details}

    @contextmanager
    def _telling_if_slow(self, what: str) -> Iterator[None]:
        """Have ``on_slow`` called if an agent takes long to answer in this block."""
        members = [member.agent for member in self._members]
        agents = members if self._agent is None else [*members, self._agent]
        for agent in agents:
            agent.on_slow = partial(self._on_slow, what)
        try:
            yield
        finally:
            for agent in agents:
                agent.on_slow = None

    def _measuring(self) -> AbstractContextManager[Measuring]:
        if self._members:
            from agent.run.several import SeveralMeasurements

            return closing(SeveralMeasurements(self._members))
        assert self._agent is not None
        return closing(Measurement(self._agent))

    def _tell_of_missing(self, run: Measuring) -> None:
        for failure in run.failures:
            self._on_missing(failure)


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
