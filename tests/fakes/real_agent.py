"""The agent as its users run it: a separate process, used over HTTP."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes.waiting import PATIENCE_SECONDS

from agent.client.http_client import ANSWER_TIMEOUT_S, AgentClient
from agent.client.spawn import running_agent
from agent.words import Json

ANSWER_SECONDS = ANSWER_TIMEOUT_S

COMPILE_DEADLINE = os.environ.get("CHAINBENCH_COMPILE_DEADLINE")
"""How long an agent's probes may take to compile: set where a processor is emulated. The agents of
`running` take no settings from the environment."""


@dataclass
class Run:
    """One bracketed workload. ``evidence`` is set when the ``with`` block ends."""

    started: Json
    evidence: Json = field(default_factory=dict)


def hooks(evidence: Json) -> list[str]:
    """Return the hooks that a run's programs were attached to."""
    return [row["hook"] for row in evidence["overhead"]["programs"]]


class RealAgent:
    """An agent's routes as methods. They raise `AgentRefused` and `AgentUnreachable`."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self.url = client.url
        """The evidence of the last `run`."""

    def start(self, **body: Any) -> Json:
        return self._client.post("/start", body)

    def stop(self) -> Json:
        return self._client.post("/stop")

    def evidence(self, run_id: str) -> Json:
        return self._client.get(f"/evidence/{run_id}")

    def status(self) -> Json:
        return self._client.get("/status")

    def get(self, path: str) -> Json:
        return self._client.get(path)

    def text(self, path: str) -> str:
        return self._client.send("GET", path).decode()

    def metrics(self) -> str:
        return self.text("/metrics")

    @contextlib.contextmanager
    def run(self, **body: Any) -> Iterator[Run]:
        """Start a run before the workload and stop it afterwards, even if the workload fails."""
        run = Run(self.start(**body))
        try:
            yield run
        finally:
            run.evidence = self.stop()
        # A test must not pass because something could not be measured.
        assert run.evidence["available"], run.evidence.get("reason")
        assert "unavailable" not in run.evidence, run.evidence["unavailable"]


@contextlib.contextmanager
def running(arguments: Sequence[str] = (), *, ready: bool = True) -> Iterator[RealAgent]:
    """Start an agent that shares our standard error.

    With ``ready``, also wait until its programs are loaded, so that a test's first start does not
    have to compile them.
    """
    patient = ["--compile-deadline", COMPILE_DEADLINE] if COMPILE_DEADLINE else []
    arguments = [*patient, *arguments]
    with running_agent(arguments, stderr=None, timeout_s=PATIENCE_SECONDS) as started:
        if patient:
            started.allow_compiling(started.get("/status")["compile_deadline_s"])
        agent = RealAgent(started)
        if ready:
            with agent.run():
                pass
        yield agent


def assert_unavailable(agent: RealAgent, code: str, *expected: str) -> None:
    """Assert that /status, /start and the evidence give the same reason, with these texts."""
    ebpf = agent.status()["ebpf"]
    assert (ebpf["available"], ebpf["code"]) == (False, code), ebpf["reason"]
    for text in expected:
        assert text in ebpf["reason"]
    started = agent.start()
    assert (started["available"], started["code"]) == (False, code)
    evidence = agent.stop()
    assert (evidence["available"], evidence["reason"]) == (False, ebpf["reason"])
    assert evidence["completeness"]["verdict"] == "invalid"
