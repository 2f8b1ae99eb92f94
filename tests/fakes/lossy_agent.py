"""An agent whose answers are lost on their way, and what a client says then."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from fakes.agent_server import Request, serving
from fakes.run_agent import RunAgent

from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured, OneRun
from agent.client.spawn import running_agent

Answer = tuple[int, dict[str, Any]]
OF_A_PROXY: Answer = (502, {})
SAID_BY_NO_AGENT: list[Any] = [
    (200, ["not", "an", "object"]),
    (404, {"detail": "Not Found"}),
    (500, "a page"),
    (503, {}),
]
"""With the HTTP status."""
ENDS_ALREADY: Answer = (409, {"error": "not_running", "message": "no run is in progress"})
NO_SUCH_RUN: Answer = (404, {"error": "no_such_run", "message": "not known"})
NO_LONGER_ALLOWED: Answer = (401, {"error": "unauthorized", "message": "another token"})


class Lossy(RunAgent):
    """Loses answers to these routes, once each; what was asked is done, unless it is ``deaf``."""

    losing: list[str]
    deaf = False
    instead: Answer | None = None
    """An answer in place of the one that is lost. Without it, the connection breaks."""

    def answer(self, request: Request) -> Answer:
        if request.route not in self.losing:
            return self.carry_out(request)
        self.losing.remove(request.route)
        if not self.deaf:
            self.carry_out(request)
        if self.instead is None:
            raise ConnectionError  # which ends this connection, without an answer
        return self.instead

    def carry_out(self, request: Request) -> Answer:
        return super().answer(request)


class InFront(Lossy):
    """Passes requests on to an agent with ``--mock``, and its answers back."""

    behind: AgentClient

    def carry_out(self, request: Request) -> Answer:
        method, path = request.route.split()
        body = json.loads(request.body) if request.body else None
        return 200, json.loads(self.behind.send(method, path, body))


def lossy(*losing: str, instead: Answer | None = None, deaf: bool = False) -> Lossy:
    agent = Lossy()
    agent.losing, agent.instead, agent.deaf = list(losing), instead, deaf
    return agent


def run_of(agent: RunAgent, timeout_s: float | None = None) -> OneRun:
    return OneRun(AgentClient(agent.url, timeout_s), nullcontext)


def why_not(call: Callable[[], object]) -> str:
    with pytest.raises(NotMeasured) as failed:
        call()
    return str(failed.value)


def how_to_end(agent: RunAgent) -> str:
    return f"end it with: curl -X POST {agent.url}/stop"


@contextmanager
def in_front() -> Iterator[InFront]:
    """Start an agent with ``--mock`` and one in front of it."""
    agent = InFront()
    with running_agent(["--mock"]) as agent.behind, serving(agent):
        yield agent
