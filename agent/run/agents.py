"""Which agent measures: one that was named, one on the default port, or one for this run alone."""

import contextlib
from collections.abc import Iterator

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.settings import Settings

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
    elif found := _on_default_port():
        yield found
    else:
        with contextlib.ExitStack() as stack:
            try:
                # a group of its own: what signals ours, as timeout does, shall not end the agent
                # before it has been asked for its evidence
                own = stack.enter_context(running_agent(own_group=True))
            except (AgentDidNotStart, OSError) as error:
                raise NoAgent(f"no agent could be started: {error}") from error
            yield own


def _named(url: str) -> AgentClient:
    try:
        if _is_ours(url):
            return AgentClient(url)
    except (AgentUnreachable, AgentRefused) as error:
        raise NoAgent(f"{error} (of --agent or CHAINBENCH_AGENT)") from error
    raise NoAgent(f"what answers at {url} is not a chainbench-agent")


def _on_default_port() -> AgentClient | None:
    defaults = Settings()
    url = f"http://{defaults.host}:{defaults.port}"
    with contextlib.suppress(AgentUnreachable, AgentRefused):
        if _is_ours(url):
            return AgentClient(url)
    return None


def _is_ours(url: str) -> bool:
    """Return whether an agent answers. Raises `AgentUnreachable` or `AgentRefused`."""
    return AgentClient(url, STATUS_TIMEOUT_S).get("/status").keys() >= OURS
