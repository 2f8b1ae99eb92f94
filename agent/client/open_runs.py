"""A run that is in progress, or may begin, without a client that ends it: what is said of it.

Only the answer to a start says which run is ours. A run whose start was not answered is never
ended: it may be somebody else's. One of ours that could not be ended is, before the next begins.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.urls import socket_path
from agent.words import LABEL_NAMES

LEFT_OPEN: dict[str, str] = {}
"""Runs of this process that could not be ended yet: the last one of each agent, by its URL."""


def is_left_open(agent: AgentClient, run_id: object) -> bool:
    """Return whether this run, which the agent has in progress, is ours and was to have ended."""
    return bool(run_id) and LEFT_OPEN.get(agent.url) == run_id


def end_left_open(agent: AgentClient) -> str:
    """End the run that is left open, whose evidence nobody wants now; return why it may not end."""
    try:
        agent.post("/stop", {"run_id": LEFT_OPEN[agent.url]})
    except (AgentRefused, AgentUnreachable) as error:
        return str(error)
    LEFT_OPEN.pop(agent.url, None)
    return ""


def which_run(agent: AgentClient, other: Mapping[str, Any]) -> str:
    """Return which run is in progress, since when as far as the agent says, and the cure.

    Unless a run is about processes that end, nothing else ends it if its client was killed.
    """
    run = f"run {other['run_id']}" if other.get("run_id") else "a run"
    since = other.get("started_at")
    busy = f"{run} is in progress" + (f" (since {since})" if since else "")
    return f"{busy}; if its client is gone, {how_to_end(agent)}"


def may_have_begun(agent: AgentClient, body: Mapping[str, Any]) -> str:
    """Return which run a start whose answer is lost may have begun, or may still begin."""
    try:
        status = agent.status_soon()
    except (AgentRefused, AgentUnreachable) as error:
        if is_gone(error):
            return "nothing listens there any more: if the agent has ended, no run is left"
        return f"the run may begin all the same: {if_it_is_open(agent)}"
    if not (run_id := status.get("run_id")) or not _has_labels_of(status, body):
        # what stands between may have it still, or an agent that was stopped
        return f"no such run is in progress yet, but it may still begin: {if_it_is_open(agent)}"
    return (
        f"run {run_id} is in progress, with the same labels: it may be this one. If nobody "
        f"else has begun it, {how_to_end(agent)}"
    )


def if_it_is_open(agent: AgentClient) -> str:
    """Return how to find and end a run that may begin."""
    return (
        f"if GET /status of {agent.url} names a run that nobody else has begun, {how_to_end(agent)}"
    )


def how_to_end(agent: AgentClient) -> str:
    """Return how to end the run of an agent, and who may: a line for a shell ends the text."""
    if path := socket_path(agent.url):
        # only who began it, and root, may end it
        who, words = "its user or root can ", ["--unix-socket", path, "http://localhost/stop"]
        words = [shlex.quote(word) for word in words]
    else:
        who, words = "", [*agent.access.for_curl(agent.url), shlex.quote(f"{agent.url}/stop")]
    return f"{who}end it with: {' '.join(['curl -X POST', *words])}"


def is_gone(error: Exception) -> bool:
    """Return whether nothing listens where the agent did."""
    return isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError)


def _has_labels_of(status: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Return whether the run in progress has the labels of a start, which may lack some."""
    return all((status.get(name) or "") == (body.get(name) or "") for name in LABEL_NAMES)
