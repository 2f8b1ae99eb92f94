"""A minimal client, as a benchmark runner would write it: start, run the workload, stop."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from agent.demo import workload

TIMEOUT_S = 60
"""Longer than the slowest start, which compiles the probes."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """One run: the workload's own counts, the evidence, and the agent's status afterwards."""

    work: dict[str, int]
    evidence: dict[str, Any]
    status: dict[str, Any]


def bracket(agent: str, seconds: float = workload.SECONDS) -> Bracketed:
    """Run the bundled workload between ``/start`` and ``/stop`` of the agent at a base URL.

    Raises requests.RequestException if the agent refuses or cannot be reached.
    """
    with requests.Session() as session:
        # A proxy named in the environment is for external hosts, not for this machine.
        session.trust_env = False
        started = session.post(
            f"{agent}/start",
            json={
                "scenario": "baseline",
                "impl": "python",
                "variant": "demo",
                "commit": commit(),
                "dataset": hashlib.sha256(workload.DATASET).hexdigest(),
            },
            timeout=TIMEOUT_S,
        )
        started.raise_for_status()
        try:
            work = workload.run(seconds)
        finally:
            stopped = session.post(f"{agent}/stop", timeout=TIMEOUT_S)
        stopped.raise_for_status()
        status = session.get(f"{agent}/status", timeout=TIMEOUT_S)
        status.raise_for_status()
        return Bracketed(work, stopped.json(), status.json())


def commit() -> str:
    """Return the commit of the checkout that this runs from, or an empty string."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
