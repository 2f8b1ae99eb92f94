"""Which agent measures: one that was named, that of a service, or one for this run alone."""

import contextlib
import os
import stat
from collections.abc import Iterator

from agent.client.http_client import UNIX, AgentClient, AgentRefused, AgentUnreachable
from agent.words import HOST, PORT, SERVICE_SOCKET

OURS = frozenset({"running", "state", "run_id", "machine", "ebpf"})
"""Fields of /status that no other service is likely to have. Port 9090 is also Prometheus's."""
STATUS_TIMEOUT_S = 3.0
"""An agent answers /status without waiting for the kernel."""


class NoAgent(Exception):
    """There is no agent to measure with; the text says why."""


@contextlib.contextmanager
def an_agent(url: str | None) -> Iterator[AgentClient]:
    """Yield an agent. Nothing but GET is sent to what may be another service. Raises `NoAgent`.

    An agent of our own ends with this block. Without privileges it starts too, and says what is
    missing in its answer to a start.
    """
    if url:
        yield _named(url)
    elif found := _of_a_service():
        yield found
    else:
        with contextlib.ExitStack() as stack:
            yield _own(stack)


def _own(stack: contextlib.ExitStack) -> AgentClient:
    """Start an agent that ends with the stack."""
    try:
        # where one runs already, the command begins sooner without what it takes to start one
        from agent.client.spawn import AgentDidNotStart, running_agent
    except OSError as error:  # there is no descriptor left
        raise NoAgent(f"no agent could be started: {error.strerror}") from error
    try:
        # a group of its own: what signals ours, as timeout does, shall not end the agent before it
        # has been asked for its evidence
        return stack.enter_context(running_agent(own_group=True))
    except (AgentDidNotStart, OSError) as error:
        raise NoAgent(f"no agent could be started: {error}") from error


def _named(url: str) -> AgentClient:
    try:
        if _is_ours(url):
            return AgentClient(url)
    except (AgentUnreachable, AgentRefused) as error:
        raise NoAgent(f"{error} (of --agent or CHAINBENCH_AGENT)") from error
    raise NoAgent(f"what answers at {url} is not a chainbench-agent")


def _of_a_service() -> AgentClient | None:
    """Return the agent on the service's socket, or else on the default port, if one answers."""
    for url in (f"{UNIX}{SERVICE_SOCKET}", f"http://{HOST}:{PORT}"):
        with contextlib.suppress(AgentUnreachable, AgentRefused):
            if _is_ours(url):
                return AgentClient(url)
    return None


def closed_to_us() -> str:
    """Return how to be let in where a service listens on its socket, but not for this user.

    What follows a reason why nothing can be measured; empty if there is no such socket.
    """
    try:
        if not stat.S_ISSOCK(os.stat(SERVICE_SOCKET).st_mode) or os.access(SERVICE_SOCKET, os.W_OK):
            return ""
    except OSError:
        return ""
    return (
        f"; an agent listens on {SERVICE_SOCKET}, which this user may not use: become a member of "
        "its group"
    )


def _is_ours(url: str) -> bool:
    """Return whether an agent answers. Raises `AgentUnreachable` or `AgentRefused`."""
    return AgentClient(url, STATUS_TIMEOUT_S).get("/status").keys() >= OURS
