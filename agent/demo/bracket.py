"""A minimal client, as a benchmark runner would write it: start, run the workload, stop."""

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from agent.client import interruptions
from agent.client.access import NOTHING, Access
from agent.demo import workload
from agent.words import in_words

TIMEOUT_S = 60
"""Longer than the slowest start, which compiles the probes."""


class NoAgent(Exception):
    """There is no answer, or it is not an agent's; the text says which."""


class Refused(Exception):
    """The agent refused a request; the text has its own words."""


class Ended(Exception):
    """Another client has ended the run before the workload was over."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """One run: the workload's own counts, the evidence, and the agent's status afterwards."""

    work: dict[str, int]
    evidence: dict[str, Any]
    status: dict[str, Any]


def bracket(
    agent: str,
    seconds: float = workload.SECONDS,
    *,
    access: Access = NOTHING,
    on_connected: Callable[[], None] = lambda: None,
) -> Bracketed:
    """Run the bundled workload between ``/start`` and ``/stop`` of the agent at a base URL.

    Calls ``on_connected`` once an agent has answered there. Raises `NoAgent`, `Refused`, `Ended`,
    or `agent.client.access.NoToken`.
    """
    with requests.Session() as session:
        # A proxy named in the environment is for external hosts, not for this machine.
        session.trust_env = False
        if token := access.token(agent):
            session.headers["Authorization"] = f"Bearer {token}"
        session.verify = access.ca_file or True
        if "running" not in _ask(session, "GET", f"{agent}/status"):
            raise NoAgent(f"what answers at {agent} is not a chainbench-agent")
        on_connected()
        labels = {
            "scenario": "baseline",
            "impl": "python",
            "variant": "demo",
            "commit": commit(),
            "dataset": hashlib.sha256(workload.DATASET).hexdigest(),
        }
        started = None
        try:
            # until the answer is here, it is not known whether there is a run to end
            with interruptions.held_back():
                started = _ask(session, "POST", f"{agent}/start", labels)
            work = workload.run(seconds)
        finally:
            if started is not None:
                evidence = _ended(session, agent, started.get("run_id"))
        return Bracketed(work, evidence, _ask(session, "GET", f"{agent}/status"))


def _ended(session: requests.Session, agent: str, run_id: object) -> dict[str, Any]:
    """End this run and no other, and return its evidence. Raises `Ended` if another client has."""
    if _ask(session, "GET", f"{agent}/status").get("run_id") == run_id:
        evidence = _ask(session, "POST", f"{agent}/stop", {"run_id": run_id})
        # agents of earlier versions end whichever run is in progress
        if evidence.get("run_id") == run_id:
            return evidence
    raise Ended(f"another client has ended the run {run_id} before the workload was over")


def _ask(
    session: requests.Session, method: str, url: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the JSON object that the agent answers. Raises `NoAgent` or `Refused`."""
    try:
        response = session.request(method, url, json=body, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        raise NoAgent(f"no answer from {url}: {_cause(error)}") from error
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not (response.ok or "error" in answer):
        raise NoAgent(
            f"what answers at {url} is not a chainbench-agent (status {response.status_code})"
        )
    if not response.ok:
        raise Refused(f"the agent refused {method} {url}: {answer.get('message', answer)}")
    return answer


def _cause(error: requests.RequestException) -> str:
    """Return the system's words for what went wrong, from inside the libraries' exceptions."""
    if isinstance(error, requests.Timeout):
        return f"timed out after {TIMEOUT_S} s"
    if isinstance(error, ValueError):
        return "not the URL of an agent (expected http://HOST:PORT)"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return in_words(inner)
        inner = inner.__cause__ or inner.__context__
    return "the connection failed or was not HTTP"


def commit() -> str:
    """Return the commit of the checkout that this runs from, or an empty string."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
