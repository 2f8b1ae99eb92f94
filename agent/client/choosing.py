"""Which agents measure a block of Python: those that were named, or that of a service."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent.client import interruptions
from agent.client.finding import NoAgent, named_client, sought_service
from agent.client.http_client import AgentClient
from agent.client.one_run import OneRun
from agent.words import PORT, SERVICE_SOCKET, Json

VARIABLE = "CHAINBENCH_AGENT"
"""The environment variable that names an agent."""


class BlocksRun(Protocol):
    """A run around a block; see `OneRun`."""

    @property
    def failures(self) -> Sequence[str]:
        """Which other machines there is no evidence of, and why."""

    def begin(self, body: Mapping[str, Any]) -> Json | None: ...
    def other_run(self) -> str: ...
    def stop(self) -> Json: ...
    def close(self) -> None: ...


def run_of(urls: Sequence[str], timeout_s: float | None) -> BlocksRun:
    """Return a run of the agents at these URLs, or without any of the agent that is found.

    ``timeout_s`` is for each of their answers; None: for a start, as long as the agent may compile.
    Raises `NoAgent`.
    """
    if len(urls) > 1:
        from agent.client.several import SeveralRuns, members_at

        return SeveralRuns(members_at(urls, timeout_s), interruptions.held_back)
    return OneRun(_agent(urls, timeout_s), interruptions.held_back)


def _agent(urls: Sequence[str], timeout_s: float | None) -> AgentClient:
    if url := (urls[0] if urls else os.environ.get(VARIABLE)):
        return named_client(url, "the argument url" if urls else VARIABLE, timeout_s)
    found, how = sought_service()
    if found is None:
        raise NoAgent(
            f"no agent can be used on {SERVICE_SOCKET} or port {PORT}, and {VARIABLE} names"
            f" none{how}"
        )
    url, status = found
    agent = AgentClient(url, timeout_s)
    agent.allow_compiling(status.get("compile_deadline_s"))
    return agent
