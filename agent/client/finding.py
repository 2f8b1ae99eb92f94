"""Find an agent that runs already. What may be another service is sent nothing but a GET."""

import os
import stat

from agent.client.access import TOKEN_FILE
from agent.client.http_client import (
    STATUS_TIMEOUT_S,
    AgentClient,
    AgentRefused,
    AgentUnreachable,
)
from agent.client.urls import UNIX
from agent.words import CHALLENGE, HOST, PORT, SERVICE_SOCKET, Json

OURS = frozenset({"running", "state", "run_id", "machine", "ebpf"})
"""Fields of /status that no other service is likely to have. Port 9090 is also Prometheus's."""


class NoAgent(Exception):
    """There is no agent to measure with; the text says why."""


def named_client(url: str, named_by: str, timeout_s: float | None = None) -> AgentClient:
    """Return the agent at a URL, ready for a start. Raises `NoAgent`, which says what named it.

    ``timeout_s`` is for each of its answers; None: for a start, as long as it may compile.
    """
    status = named_agent(url, named_by)
    agent = AgentClient.named(url, timeout_s)
    agent.allow_compiling(status.get("compile_deadline_s"))
    return agent


def named_agent(url: str, named_by: str) -> Json:
    """Return the status of the agent at a URL. Raises `NoAgent`, which says what named it."""
    try:
        return _status_of_named(url)
    except (AgentUnreachable, AgentRefused, NoAgent, ValueError) as error:
        raise NoAgent(f"{error} (of {named_by})") from error


def status_of_ours(url: str) -> Json:
    """Return the status of the agent at a URL. Raises `NoAgent` if none answers."""
    try:
        return _status_of_named(url)
    except (AgentUnreachable, AgentRefused) as error:
        raise NoAgent(str(error)) from error


def sought_service() -> tuple[tuple[str, Json] | None, str]:
    """Return URL and status of the agent on the service's socket, or else on the default port.

    Nobody has named them, so they get no token. With it, return a text that continues a reason why
    nothing can be measured: how to get access to an agent that is closed to this user; empty if
    there is none. Both come from one request, because a silent service is waited for each time.
    """
    how = _of_closed_socket(SERVICE_SOCKET)
    for url in (f"{UNIX}{SERVICE_SOCKET}", f"http://{HOST}:{PORT}"):
        try:
            status = _status(AgentClient(url, STATUS_TIMEOUT_S))
        except AgentUnreachable:
            continue
        except AgentRefused as error:
            how = how or _of_token(url, error)
            continue
        if status.keys() >= OURS:
            return (url, status), ""
    return None, how


def _of_closed_socket(path: str) -> str:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode) or os.access(path, os.W_OK):
            return ""
    except OSError:
        return ""
    return (
        f"; an agent listens on {path}, which this user may not use: become a member of its group"
    )


def _of_token(url: str, refused: AgentRefused) -> str:
    if refused.challenge != CHALLENGE:
        return ""
    return (
        f"; the agent at {url} requires a token: name the agent with CHAINBENCH_AGENT, and the "
        f"token with {TOKEN_FILE}"
    )


def _status_of_named(url: str) -> Json:
    """Return the status of the agent at a URL that the user has named.

    Raises what `AgentClient` does, and `NoAgent` if what answers is something else.
    """
    try:
        status = _status(AgentClient.named(url, STATUS_TIMEOUT_S))
    except AgentRefused as refused:
        if refused.code:
            raise
        # an agent's errors have a code: this is another service, or a proxy without an agent
        raise NoAgent(f"{_not_ours(url)}, or a proxy without one: {refused}") from refused
    if not status.keys() >= OURS:
        raise NoAgent(_not_ours(url))
    return status


def _status(client: AgentClient) -> Json:
    return client.get("/status")


def _not_ours(url: str) -> str:
    return f"what answers at {url} is not a chainbench-agent"
