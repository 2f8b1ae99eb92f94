"""An agent in a guest, and what its evidence says in short."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.client.http_client import AgentClient
from agent.client.spawn import running_agent

PATIENCE_S = 300.0
"""How long an answer may take: the programs are compiled by an emulated CPU."""

DEADLINE = ("--compile-deadline", "280s")


@contextlib.contextmanager
def agent(log: Path) -> Iterator[AgentClient]:
    """Start an agent that writes to ``log``, and yield a client of it that has patience."""
    with running_agent(DEADLINE, log=log, timeout_s=PATIENCE_S) as started:
        yield AgentClient(started.url, PATIENCE_S)


def timed_start(client: AgentClient, body: dict[str, Any]) -> float:
    """Start a run, and return how many seconds that took."""
    began = time.monotonic()
    client.post("/start", body)
    return round(time.monotonic() - began, 1)


def in_short(evidence: dict[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    """Return what the table of kernels is made of."""
    completeness = evidence.get("completeness", {})
    return {
        "available": evidence.get("available"),
        "reason": evidence.get("reason"),
        "sections": [name for name in sections if name in evidence],
        "unavailable": evidence.get("unavailable", {}),
        "verdict": completeness.get("verdict"),
        "reasons": completeness.get("reasons", []),
    }
