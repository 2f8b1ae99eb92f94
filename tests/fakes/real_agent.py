"""The agent as its users run it: a process of its own, spoken to with the contract's client."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
from fakes.lines import LineReader

Json = dict[str, Any]

# -P: the checkout's agent/ must not hide the installed one, whatever folder this runs in.
COMMAND = (sys.executable, "-P", "-m", "agent", "--port", "0")

STARTING_SECONDS = 60.0
ANSWER_SECONDS = 60.0
ENDING_SECONDS = 20.0


@dataclass
class Run:
    """One bracketed workload. ``evidence`` is there once the ``with`` is left."""

    started: Json
    evidence: Json = field(default_factory=dict)


def hooks(evidence: Json) -> list[str]:
    """Where the programs of a run were attached."""
    return [row["hook"] for row in evidence["overhead"]["programs"]]


class RealAgent:
    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self.process = process
        self.url = url

    def start(self, **body: Any) -> Json:
        return self._json(requests.post(f"{self.url}/start", json=body, timeout=ANSWER_SECONDS))

    def stop(self) -> Json:
        return self._json(requests.post(f"{self.url}/stop", timeout=ANSWER_SECONDS))

    def status(self) -> Json:
        return self._json(requests.get(f"{self.url}/status", timeout=ANSWER_SECONDS))

    def metrics(self) -> str:
        answer = requests.get(f"{self.url}/metrics", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.text

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

    @staticmethod
    def _json(answer: requests.Response) -> Json:
        body = answer.json()
        assert answer.ok, body
        assert isinstance(body, dict)
        return body


@contextlib.contextmanager
def running(arguments: Sequence[str] = (), *, ready: bool = True) -> Iterator[RealAgent]:
    """An agent on a free port, ended with SIGTERM. Its log goes where ours goes.

    ``ready`` waits for its programs to be loaded too, so that a test's first start is no
    compilation.
    """
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = LineReader(process.stdout.fileno())
    try:
        prefix, _, url = lines.read(STARTING_SECONDS).partition("listening on ")
        assert not prefix, prefix
        agent = RealAgent(process, url)
        if ready:
            with agent.run():
                pass
        yield agent
    finally:
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
