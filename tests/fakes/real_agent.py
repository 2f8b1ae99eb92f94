"""The agent as its users run it: a process of its own, spoken to over HTTP."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.client.http_client import ANSWER_TIMEOUT_S, AgentClient
from agent.client.spawn import running_agent
from agent.model import Json

STARTING_SECONDS = 60.0
ANSWER_SECONDS = ANSWER_TIMEOUT_S


@dataclass
class Run:
    """One bracketed workload. ``evidence`` is there once the ``with`` is left."""

    started: Json
    evidence: Json = field(default_factory=dict)


def hooks(evidence: Json) -> list[str]:
    """Where the programs of a run were attached."""
    return [row["hook"] for row in evidence["overhead"]["programs"]]


class RealAgent:
    """The routes by name. They raise `AgentRefused` and `AgentUnreachable`."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self.url = client.url

    def start(self, **body: Any) -> Json:
        return self._client.post("/start", body)

    def stop(self) -> Json:
        return self._client.post("/stop")

    def status(self) -> Json:
        return self._client.get("/status")

    def metrics(self) -> str:
        return self._client.get_text("/metrics")

    @contextlib.contextmanager
    def run(self, **body: Any) -> Iterator[Run]:
        """Start before the workload and stop after it, also when it fails."""
        run = Run(self.start(**body))
        try:
            yield run
        finally:
            run.evidence = self.stop()
        # What could not be measured must not pass for a test that measured nothing wrong.
        assert run.evidence["available"], run.evidence.get("reason")
        assert "unavailable" not in run.evidence, run.evidence["unavailable"]


@contextlib.contextmanager
def running(arguments: Sequence[str] = (), *, ready: bool = True) -> Iterator[RealAgent]:
    """An agent whose diagnostics go where ours go.

    ``ready`` waits for its programs to be loaded too, so that a test's first start is no
    compilation.
    """
    with running_agent(arguments, stderr=None, timeout_s=STARTING_SECONDS) as started:
        agent = RealAgent(started)
        if ready:
            with agent.run():
                pass
        yield agent
