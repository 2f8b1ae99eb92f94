"""A run around the bundled workload, as a benchmark runner would have it: start, run it, stop."""

import contextlib
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agent.client import interruptions
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.one_run import NotMeasured, OneRun
from agent.demo import workload
from agent.words import Json


@dataclass(frozen=True, slots=True)
class Bracketed:
    """One run: the workload's own counts, the evidence, and the agent's status afterwards.

    The status is empty if the agent has ended by then.
    """

    work: dict[str, int]
    evidence: Json
    status: Json
    is_whole: bool
    """Whether the run lasted as long as the workload."""


def bracket(agent: AgentClient, seconds: float = workload.SECONDS) -> Bracketed:
    """Run the bundled workload between ``/start`` and ``/stop`` of an agent.

    Raises `NotMeasured`.
    """
    run = OneRun(agent, interruptions.held_back)
    with contextlib.closing(run):
        if run.begin(labels()) is None:
            raise NotMeasured(run.other_run())
        work = workload.run(seconds)
        evidence = run.stop()
    status: Json = {}
    with contextlib.suppress(AgentUnreachable, AgentRefused):  # it may end now: we have what counts
        status = agent.status_soon()
    return Bracketed(work, evidence, status, run.outlasted)


def labels() -> dict[str, str]:
    return {
        "scenario": "baseline",
        "impl": "python",
        "variant": "demo",
        "commit": commit(),
        "dataset": hashlib.sha256(workload.DATASET).hexdigest(),
    }


def commit() -> str:
    """Return the commit of the checkout that this runs from, or an empty string."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
